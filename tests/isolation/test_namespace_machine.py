"""A namespace sandbox is a small machine of its own: its name, its user, its devices, its /etc."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from podflare import Sandbox
from podflare_emulator import Emulator

Make = Callable[..., Sandbox]


def bash(sandbox: Sandbox, code: str) -> str:
    result = sandbox.run_code(code, language="bash")
    assert (result.stderr, result.exit_code) == ("", 0)
    return result.stdout


def test_who_and_where_it_is(namespace_sandbox: Make) -> None:
    sandbox = namespace_sandbox()
    assert bash(sandbox, "hostname; whoami; id -u; id -g; echo $HOME; pwd; umask") == (
        "sandbox\nroot\n0\n0\n/root\n/root\n0022"
    )
    code = """
import getpass, os, pathlib, socket
print(socket.gethostname(), getpass.getuser(), pathlib.Path.home(), os.getcwd())
"""
    assert sandbox.run_code(code).stdout == "sandbox root /root /root"
    assert sandbox.run_code("print(socket.gethostbyname('sandbox'))").stdout == "127.0.0.1"


def test_its_directories_are_empty(namespace_sandbox: Make) -> None:
    assert (
        bash(namespace_sandbox(), "find /root /home /tmp /var/tmp /data /workspace /srv /mnt -mindepth 1")
        == ""
    )


@pytest.mark.parametrize(
    "path", ["/any/path/at/all", "/data/x", "/etc/x", "/opt/x", "/var/lib/x", "/run/x", "/srv/x"]
)
def test_any_path_can_be_written_and_is_private(namespace_sandbox: Make, path: str) -> None:
    sandbox = namespace_sandbox()
    write = (
        f"import os; os.makedirs(os.path.dirname('{path}'), exist_ok=True); open('{path}', 'w').write('1')"
    )
    assert sandbox.run_code(write).exit_code == 0
    assert bash(sandbox, f"cat {path}") == "1"
    assert not Path(path).exists()
    assert namespace_sandbox().run_code(f"open('{path}')").exit_code == 1


def test_its_hosts_file_is_its_own(namespace_sandbox: Make) -> None:
    before = Path("/etc/hosts").read_bytes()
    sandbox = namespace_sandbox()
    bash(sandbox, "echo '127.0.0.9 service.example' >> /etc/hosts")
    assert (
        sandbox.run_code("import socket; print(socket.gethostbyname('service.example'))").stdout
        == "127.0.0.9"
    )
    assert "service.example" not in bash(namespace_sandbox(), "cat /etc/hosts")
    assert Path("/etc/hosts").read_bytes() == before


def test_its_accounts_are_the_systems_and_no_persons(namespace_sandbox: Make) -> None:
    sandbox = namespace_sandbox()
    users = [line.split(":") for line in bash(sandbox, "cat /etc/passwd").splitlines()]
    assert users[0] == ["root", "x", "0", "0", "root", "/root", "/bin/bash"]
    assert all(int(number) < 1000 or name == "nobody" for name, _, number, *_ in users)
    assert "nobody" in [name for name, *_ in users]
    assert not any(line.split(":")[3] for line in bash(sandbox, "cat /etc/group").splitlines())
    assert sandbox.run_code("cat /etc/shadow", language="bash").exit_code == 1


def test_its_resolver_is_the_networks(namespace_emulator: Emulator, namespace_sandbox: Make) -> None:
    shown = bash(namespace_sandbox(), "cat /etc/resolv.conf")
    resolver = Path("/etc/resolv.conf")
    if namespace_emulator.network == "private":
        assert shown == "nameserver 10.0.2.3"
    elif resolver.exists():
        assert shown == resolver.read_text().rstrip("\n")


def test_its_certificates_are_the_hosts(namespace_sandbox: Make) -> None:
    sandbox = namespace_sandbox()
    ask = "import ssl; print(ssl.create_default_context().cert_store_stats())"
    here = subprocess.run(["python3", "-c", ask], capture_output=True, text=True, env={"PATH": "/usr/bin"})
    if here.returncode == 0:
        assert bash(sandbox, f'/usr/bin/python3 -c "{ask}"') == here.stdout.strip()


def test_its_devices(namespace_sandbox: Make) -> None:
    sandbox = namespace_sandbox()
    assert bash(sandbox, "ls /dev") == (
        "fd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero"
    )
    assert (
        bash(sandbox, "echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c")
        == "3\n3"
    )
    assert "No space left" in sandbox.run_code("echo x > /dev/full", language="bash").stderr


def test_it_knows_its_processors_and_its_loopback(namespace_sandbox: Make) -> None:
    sandbox = namespace_sandbox()
    for path in ("/sys/devices/system/cpu/online", "/sys/class/net/lo/address"):
        if not Path(path).exists():
            pytest.skip(f"{path} is not there")
        assert bash(sandbox, f"cat {path}") == Path(path).read_text().strip()
    assert bash(sandbox, "ls /sys /sys/class/net") == "/sys:\nclass\ndevices\nkernel\n\n/sys/class/net:\nlo"
    assert "Read-only file system" in sandbox.run_code("touch /sys/x", language="bash").stderr


@pytest.mark.skipif(shutil.which("lscpu") is None, reason="lscpu is not installed")
def test_lscpu(namespace_sandbox: Make) -> None:
    assert "On-line CPU(s) list:" in bash(namespace_sandbox(), "lscpu")


def test_a_listing_and_stat_tell_the_same_inode(namespace_sandbox: Make) -> None:
    sandbox = namespace_sandbox()
    code = """
import os
os.makedirs("/root/new/sub", exist_ok=True)
open("/root/new/file", "w").close()
open("/etc/passwd", "a").close()
for directory in ("/root", "/root/new", "/etc", "/tmp", "/var", "/data"):
    for entry in os.scandir(directory):
        if entry.inode() != entry.stat(follow_symlinks=False).st_ino:
            print(entry.path)
"""
    assert sandbox.run_code(code).stdout == ""
    (child,) = sandbox.fork(1)
    assert child.run_code(code).stdout == ""
    child.close()


def test_its_standard_streams_can_be_opened(namespace_sandbox: Make) -> None:
    """They are pipes that the host has made, and the sandbox's root is another user there."""
    sandbox = namespace_sandbox()
    result = sandbox.run_code(
        "echo out > /dev/stdout; echo err | tee /dev/stderr > /dev/null", language="bash"
    )
    assert (result.stdout, result.stderr, result.exit_code) == ("out", "err", 0)
    result = sandbox.run_code("with open('/dev/stderr', 'w') as file: _ = file.write('err')")
    assert (result.stderr, result.exit_code) == ("err", 0)
    (child,) = sandbox.fork(1)
    assert child.run_code("echo err > /dev/stderr", language="bash").stderr == "err"
    child.close()


def test_it_has_terminals(namespace_sandbox: Make) -> None:
    code = """
import os, pty
def talk():
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("sh", ["sh", "-c", "tty; echo hello > /dev/tty"])
    text = b""
    try:
        while data := os.read(terminal, 100):
            text += data
    except OSError:
        os.waitpid(pid, 0)
    return text.decode().split()
print(talk())
"""
    assert namespace_sandbox().run_code(code).stdout == "['/dev/pts/0', 'hello']"


def test_shared_memory_is_private(namespace_sandbox: Make) -> None:
    sandbox = namespace_sandbox()
    make = """
from multiprocessing import Lock, shared_memory
lock, memory = Lock(), shared_memory.SharedMemory("podflare-test", True, 9)
"""
    assert sandbox.run_code(make).exit_code == 0
    assert bash(sandbox, "ls /dev/shm") == "podflare-test"
    assert bash(namespace_sandbox(), "ls /dev/shm") == ""
    assert not os.path.exists("/dev/shm/podflare-test")
    sandbox.run_code("memory.close(); memory.unlink()")


def test_its_limits_are_sane(namespace_sandbox: Make) -> None:
    assert bash(namespace_sandbox(), "ulimit -n; ulimit -Hn; ulimit -v; ulimit -d; ulimit -f; ulimit -t") == (
        "1024\n4096\nunlimited\nunlimited\nunlimited\nunlimited"
    )


def test_root_reads_and_owns_its_own_files_whatever_their_mode(namespace_sandbox: Make) -> None:
    code = "echo secret > f; chmod 000 f; cat f; install -d -m 000 d; touch d/x; ls d; stat -c %U f"
    assert bash(namespace_sandbox(), code) == "secret\nx\nroot"
