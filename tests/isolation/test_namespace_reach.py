"""What cannot be reached from inside a sandbox: the host, other families, and the emulator's own processes."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from podflare import Sandbox
from podflare_emulator import Emulator

from ..matrix import SLOW

SECRET = "podflare-host-secret"  # wherever the host has it, no sandbox may find it
Make = Callable[..., Sandbox]

# `refused(call)`: the name of the error that the kernel answers with.
PRELUDE = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)

def refused(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        print(type(error).__name__)
    else:
        print("done")

def checked(number):
    if number < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
"""


@pytest.fixture
def sandbox(namespace_sandbox: Make) -> Sandbox:
    sandbox = namespace_sandbox()
    assert sandbox.run_code(PRELUDE).exit_code == 0
    return sandbox


@pytest.fixture
def host_file() -> Iterator[Callable[[Path], Path]]:
    """`host_file(directory)`: a file that anybody on the host may read, removed after the test."""
    made: list[Path] = []

    def make(directory: Path) -> Path:
        if not os.access(directory, os.W_OK):
            pytest.skip(f"{directory} cannot be written")
        number, name = tempfile.mkstemp(prefix="podflare-host-file-", dir=directory)
        made.append(Path(name))
        os.write(number, SECRET.encode())
        os.fchmod(number, 0o644)
        os.close(number)
        return made[-1]

    yield make
    for file in made:
        file.unlink()


@pytest.mark.parametrize(
    "directory",
    [Path.home(), Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path(tempfile.gettempdir())],
    ids=["home", "/tmp", "/var/tmp", "/dev/shm", "TMPDIR"],
)
def test_a_file_of_the_hosts(sandbox: Sandbox, host_file: Callable[[Path], Path], directory: Path) -> None:
    assert sandbox.run_code(f"refused(open, {str(host_file(directory))!r})").stdout == "FileNotFoundError"


def test_the_hosts_home_and_keys(sandbox: Sandbox) -> None:
    code = "find /root /home -mindepth 1; ls -d ~/.ssh /etc/shadow /sys/firmware /boot /etc/ssh; true"
    assert sandbox.run_code(code, language="bash").stdout == ""


def test_files_of_the_checkout(sandbox: Sandbox) -> None:
    assert sandbox.run_code(f"refused(open, {__file__!r})").stdout == "FileNotFoundError"


@SLOW
@pytest.mark.usefixtures("namespace_emulator")
def test_the_hosts_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODFLARE_TEST_SECRET", SECRET)
    with Emulator(isolation="namespace") as emulator, Sandbox(host=emulator.url) as sandbox:
        code = "env; cat /proc/[0-9]*/environ 2> /dev/null; cat /proc/[0-9]*/cmdline"
        everything = sandbox.run_code(code, language="bash").stdout
        assert "HOME=/root" in everything
        assert SECRET not in everything


def test_the_environment_is_short_and_says_nothing_of_the_host(sandbox: Sandbox) -> None:
    names = sandbox.run_code("print(*sorted(os.environ))").stdout.split()
    assert set(names) - {"LD_LIBRARY_PATH"} == {
        *(
            "HOME",
            "LANG",
            "LOGNAME",
            "MPLBACKEND",
            "OMP_WAIT_POLICY",
            "OPENBLAS_NUM_THREADS",
            "PATH",
            "SHELL",
            "TERM",
            "USER",
        ),
    }


def test_the_hosts_processes(sandbox: Sandbox) -> None:
    code = "print(*sorted({open(f'/proc/{pid}/comm').read().strip() for pid in os.listdir('/proc') if pid.isdigit()}))"
    assert sandbox.run_code(code).stdout == "python3"
    assert int(sandbox.run_code("print(sum(pid.isdigit() for pid in os.listdir('/proc')))").stdout) == 2


def test_another_family(sandbox: Sandbox, namespace_sandbox: Make) -> None:
    other = namespace_sandbox()
    other.run_code(
        "import os, socket, subprocess\n"
        "open('/tmp/mine', 'w').write('1')\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "server = socket.socket(socket.AF_UNIX); server.bind('/tmp/socket'); server.listen()"
    )
    assert "sleep" not in sandbox.run_code("cat /proc/[0-9]*/comm", language="bash").stdout
    assert sandbox.run_code("refused(open, '/tmp/mine')").stdout == "FileNotFoundError"
    connect = "refused(socket.socket(socket.AF_UNIX).connect, '/tmp/socket')"
    assert sandbox.run_code(connect).stdout == "FileNotFoundError"
    sandbox.run_code("kill -9 -1", language="bash")
    assert other.run_code("print(child.poll())").stdout == "None"


def test_the_root_and_files_of_the_emulators_processes(sandbox: Sandbox) -> None:
    for name in ("root", "cwd", "exe", "fd/0", "ns/mnt"):
        assert sandbox.run_code(f"refused(os.stat, '/proc/1/{name}')").stdout == "PermissionError", name


@pytest.mark.parametrize(
    "attempt",
    [
        "open, '/proc/1/mem', 'rb'",
        "open, '/proc/1/maps'",
        "open, '/proc/1/environ'",
        "lambda: checked(libc.ptrace(16, 1, 0, 0))",
        "lambda: checked(libc.syscall(438, os.pidfd_open(1), 0, 0))",
    ],
    ids=["memory", "maps", "environment", "ptrace", "pidfd_getfd"],
)
def test_the_emulators_memory(sandbox: Sandbox, attempt: str) -> None:
    assert sandbox.run_code(f"refused({attempt})").stdout == "PermissionError"


def test_the_emulators_process_is_not_killed(sandbox: Sandbox) -> None:
    for number in ("SIGKILL", "SIGTERM", "SIGINT", "SIGSTOP"):
        sandbox.run_code(f"import signal; os.kill(1, signal.{number})")
    assert sandbox.run_code("print('it goes on')").stdout == "it goes on"


def test_a_unix_socket_of_the_hosts(sandbox: Sandbox) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{directory}/socket")
        server.listen()
        connect = f"refused(socket.socket(socket.AF_UNIX).connect, '{directory}/socket')"
        assert sandbox.run_code(connect).stdout == "FileNotFoundError"


ABSTRACT = "refused(socket.socket(socket.AF_UNIX).connect, '\\0podflare-test-socket')"


@SLOW
@pytest.mark.usefixtures("namespace_emulator")
def test_an_abstract_unix_socket_of_the_hosts_in_its_network() -> None:
    from podflare_emulator.guest.system import landlock

    with (
        Emulator(isolation="namespace", network="host", pool_size=0) as emulator,
        Sandbox(host=emulator.url) as sandbox,
        socket.socket(socket.AF_UNIX) as server,
    ):
        server.bind("\0podflare-test-socket")
        server.listen()
        sandbox.run_code(PRELUDE)
        refused = landlock.abi() >= 6
        assert sandbox.run_code(ABSTRACT).stdout == ("PermissionError" if refused else "done")


def test_an_abstract_unix_socket_without_egress(namespace_sandbox: Make) -> None:
    sandbox = namespace_sandbox(egress=False)
    sandbox.run_code(PRELUDE)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0podflare-test-socket")
        server.listen()
        assert sandbox.run_code(ABSTRACT).stdout == "ConnectionRefusedError"


def test_its_own_abstract_unix_sockets_work(sandbox: Sandbox) -> None:
    serve = "server = socket.socket(socket.AF_UNIX); server.bind('\\0mine'); server.listen()"
    sandbox.run_code(serve)
    reach = "import socket; socket.socket(socket.AF_UNIX).connect('\\0mine'); print('reached')"
    assert sandbox.run_code(f'python3 -c "{reach}"', language="bash").stdout == "reached"


def test_the_repl_has_no_descriptor_of_the_emulators_below_a_thousand(sandbox: Sandbox) -> None:
    code = "print(sorted(int(number) for number in os.listdir('/proc/self/fd') if int(number) < 1000))"
    assert sandbox.run_code(code).stdout == "[0, 1, 2, 3]"  # the last is the listing's own
    (child,) = sandbox.fork(1)
    assert child.run_code(code).stdout == "[0, 1, 2, 3]"
    child.close()


def test_the_hidden_descriptors_are_its_own(sandbox: Sandbox) -> None:
    code = """
names = {int(n): os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if int(n) >= 1000}
hidden = list(names.values())
print([hidden.count(os.readlink(f"/proc/self/fd/{number}")) for number in (1, 2)])
others = {n for n in names if names[n] not in [os.readlink(f"/proc/self/fd/{number}") for number in (1, 2)]}
layers = {n for n in others if names[n].startswith("/")}
print(len(others - layers), len(layers) <= 2, {os.get_inheritable(number) for number in names})
"""
    assert sandbox.run_code(code).stdout == "[1, 1]\n1 True {False}"


def test_the_layer_that_is_among_them_leads_nowhere_and_cannot_be_written(sandbox: Sandbox) -> None:
    code = """
hidden = [n for n in os.listdir("/proc/self/fd") if int(n) >= 1000]
for layer in (int(n) for n in hidden if os.readlink(f"/proc/self/fd/{n}").startswith("/")):
    up = os.open("..", os.O_RDONLY, dir_fd=layer)
    assert os.path.sameopenfile(up, os.open(".", os.O_RDONLY, dir_fd=layer)), os.listdir(up)
    try:
        os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=layer)
    except OSError as error:
        assert error.errno == 30, error  # a read-only file system
    else:
        raise AssertionError
"""
    result = sandbox.run_code(code)
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("language", ["bash", "python"])
def test_children_have_the_three_standard_descriptors_alone(sandbox: Sandbox, language: str) -> None:
    listing = "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"
    if language == "bash":
        result = sandbox.run_code(f'python3 -c "{listing}"', language="bash")
    else:
        result = sandbox.run_code(f'_ = os.system("""python3 -c "{listing}" """)')
    assert result.stdout == "[0, 1, 2, 3]"


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none /mnt",
        "umount /proc",
        "unshare --mount true",
        "chroot / true",
        "nsenter --target 1 --mount true",
        "echo 60 > /proc/sys/vm/swappiness",
        "mknod /root/disk b 254 0",
        "touch /.podflare/new",
        "echo 1 > /dev/new",
        "ip link add type dummy",
    ],
)
def test_what_would_change_the_machine(sandbox: Sandbox, command: str) -> None:
    assert sandbox.run_code(command, language="bash").exit_code != 0


def test_the_emulators_files_on_the_host(namespace_emulator: Emulator, sandbox: Sandbox) -> None:
    """Its state directory, which other sandboxes' files lie in."""
    (state, *_) = Path(tempfile.gettempdir()).glob("podflare-emulator-*")
    assert sandbox.run_code(f"refused(os.stat, {str(state)!r})").stdout == "FileNotFoundError"
    assert sandbox.run_code("refused(os.stat, '/state')").stdout == "FileNotFoundError"


def test_nothing_of_a_sandbox_runs_as_root_on_the_host(sandbox: Sandbox) -> None:
    if os.getuid() != 0:
        pytest.skip("the tests do not run as root themselves")
    sandbox.run_code("import subprocess; child = subprocess.Popen(['sleep', '4321'])")
    inside = psutil.Process().children(
        recursive=True
    )  # process_iter() may remember who had their numbers before
    (sleeper,) = (process for process in inside if process.cmdline() == ["sleep", "4321"])
    (uid,) = set(sleeper.uids())
    assert uid == 65534 or uid >= 1 << 30  # nobody's
