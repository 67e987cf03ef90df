"""Preload isolation: what holds beyond the contract, and what cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from podflare import Sandbox
from podflare_emulator import Emulator, EmulatorError
from podflare_emulator.guest.jail import preload

from ..serving import serving

pytestmark = pytest.mark.backend("preload")


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with serving("preload") as emulator:
        yield emulator


@pytest.fixture
def sandbox(emulator: Emulator) -> Iterator[Sandbox]:
    with Sandbox(host=emulator.url) as sandbox:
        yield sandbox


Said = Callable[..., str]


@pytest.fixture
def said(sandbox: Sandbox) -> Said:
    """What code prints on its standard output."""
    return lambda code, language="python": sandbox.run_code(code, language).stdout


def bash(sandbox: Sandbox, code: str) -> str:
    return sandbox.run_code(code, "bash").stdout


@pytest.mark.parametrize(
    "start",
    [
        "subprocess.run([sys.executable, '-c', code])",
        "subprocess.run([sys.executable, '-c', code], env={})",
        "subprocess.run(['/bin/sh', '-c', f'exec python3 -c \"{code}\"'])",
        "subprocess.run(['bash', '-c', 'sh -c \\'/usr/bin/env python3 -c \"$0\"\\' \"$0\"', code])",
        "os.waitpid(os.posix_spawn(sys.executable, ['python3', '-c', code], {}), 0)",
        "os.environ.clear(); subprocess.run([sys.executable, '-c', code])",
        "print('before', flush=True); os.system(f'python3 -c \"{code}\"')",
        "multiprocessing.get_context('spawn')  # imported, no more\nos.system(f'setsid -w python3 -c \"{code}\"')",
    ],
)
def test_children_are_in_the_sandbox(sandbox: Sandbox, start: str) -> None:
    code = "import os; open('/root/made', 'w'); print(os.listdir('/root'))"
    result = sandbox.run_code(f"import multiprocessing, os, subprocess, sys\ncode = {code!r}\n{start}")
    assert result.stdout.endswith("['made']"), result


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("environment", ["None", "{}"])
def test_daemons_are_in_the_sandbox_and_end_with_it(emulator: Emulator, environment: str) -> None:
    with Sandbox(host=emulator.url) as sandbox:
        started = sandbox.run_code(
            "import subprocess\n"
            "daemon = subprocess.Popen(['/bin/sh', '-c', 'echo > /root/started; exec sleep 1000'],"
            f" env={environment}, start_new_session=True)\n"
            "import os, time\n"
            "while not os.path.exists('/root/started'): time.sleep(0.01)\n"
            "print(daemon.pid)"
        )
        assert runs(int(started.stdout))
    assert not runs(int(started.stdout))


def test_a_fork_is_in_a_directory_of_its_own(sandbox: Sandbox) -> None:
    sandbox.run_code(
        "open('/root/file', 'w').write('parent'); import os; os.symlink('/root/file', '/tmp/link')"
    )
    (child,) = sandbox.fork(1)
    with child:
        (grandchild,) = child.fork(1)
        with grandchild:
            grandchild.run_code("open('/tmp/link', 'w').write('grandchild')")
            child.run_code("import os; _ = os.system('echo child > /tmp/link')")
            assert bash(grandchild, "cat /root/file; readlink /tmp/link") == "grandchild/root/file"
            assert bash(child, "cat /root/file; readlink /tmp/link") == "child\n/root/file"
    assert bash(sandbox, "cat /root/file") == "parent"


def test_whoami_is_root_whoever_it_is(said: Said) -> None:
    assert said("whoami; stat -c %U /root; echo ~", "bash") == "root\nroot\n/root"
    assert said("import getpass, pwd, os; print(getpass.getuser(), pwd.getpwuid(os.getuid()).pw_name)") == (
        "root root"
    )


def test_nothing_of_it_is_in_pythons_environment(said: Said) -> None:
    code = "import os; print([name for name in os.environ if 'FAKE' in name or 'PRELOAD' in name])"
    assert said(code) == "[]"
    assert said(f'python3 -c "{code}"; env -u HOME python -c "{code}"', "bash") == "[]\n[]"
    assert (
        said(
            f"import os, subprocess, sys; os.environ.clear(); subprocess.run([sys.executable, '-c', {code!r}])"
        )
        == "[]"
    )


def test_etc_is_the_sandbox_s_and_the_host_s_where_it_must(sandbox: Sandbox, said: Said) -> None:
    assert said("echo made > /etc/made; cat /etc/made; head -c 5 /etc/passwd", "bash") == "made\nroot:"
    assert said("cat /etc/os-release", "bash") == Path("/etc/os-release").read_text().rstrip("\n")
    assert not Path("/etc/made").exists()


def test_devices_are_the_hosts_and_shared_memory_is_not(said: Said) -> None:
    code = "echo gone > /dev/null; head -c 3 /dev/zero | od -An -tx1; echo there > /dev/shm/x; cat /run/shm/x"
    assert said(code, "bash") == " 00 00 00\nthere"
    assert "full" in said("ls /dev", "bash").split()


@pytest.mark.parametrize("kind", ["system", "venv"])
def test_guests_run_on_other_interpreters(tmp_path: Path, kind: str, emulator: Emulator) -> None:
    """The one that runs the tests is what all other tests run on; where it lies does not show."""
    if kind == "system":
        python = shutil.which("python3", path="/usr/bin:/bin")
        if (
            python is None
            or subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 10))"]).returncode
        ):
            pytest.skip("the system has no Python from 3.10")
    else:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
        python = str(tmp_path / "venv/bin/python")
        (packages,) = tmp_path.glob("venv/lib/python3*/site-packages")
        (packages / "only_here.py").write_text("found = True\n")
    with Emulator(isolation="preload", python=python) as other, Sandbox(host=other.url) as sandbox:
        assert bash(sandbox, "find /root /tmp") == "/root\n/tmp"
        code = "import sys; print(sys.executable, sys.prefix)"
        assert sandbox.run_code(code).stdout == "/.venv/bin/python3 /.venv"
        assert bash(sandbox, f"python -c '{code}'") == "/.venv/bin/python /.venv"
        if kind == "venv":
            assert sandbox.run_code("import only_here; print(only_here.found)").stdout == "True"


# What cannot be had: each test fails the day it can, and then its row in docs/fidelity.md goes.


def test_programs_see_its_variables(said: Said) -> None:
    names = {line.partition("=")[0] for line in said("env", "bash").splitlines()}
    assert {name for name in names if "FAKE" in name or "PRELOAD" in name} == {
        "FAKECHROOT",
        "FAKECHROOT_BASE",
        "FAKECHROOT_EXCLUDE_PATH",
        "FAKECHROOT_VERSION",
        "LD_PRELOAD",
    }


@pytest.mark.parametrize(
    "way", ["env -i cat {}", "unset LD_PRELOAD; cat {}", "unset FAKECHROOT_BASE; cat {}"]
)
def test_what_escapes_it_reads_the_host(said: Said, tmp_path: Path, way: str) -> None:
    (tmp_path / "file").write_text("the host's")
    assert said(f"cat {tmp_path}/file 2> /dev/null", "bash") == ""
    assert said(way.format(tmp_path / "file"), "bash") == "the host's"


@pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox is not installed")
def test_a_static_program_reads_the_host(said: Said, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("the host's")
    assert said(f"busybox cat {tmp_path}/file", "bash") == "the host's"


def test_relative_paths_out_of_a_system_directory_are_the_host_s(said: Said, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("the host's")
    assert said(f"cd /usr; cat ..{tmp_path}/file", "bash") == "the host's"


def test_addresses_are_looked_up_in_the_host_s_files(said: Said) -> None:
    code = """
        import socket
        open('/etc/hosts', 'a').write('127.0.0.1 made-up.invalid\\n')
        try: print(socket.gethostbyname('made-up.invalid'))
        except OSError as error: print(type(error).__name__)
        print(socket.gethostname())
        """
    assert said(code) == f"gaierror\n{os.uname().nodename}"


def test_a_file_without_a_name_has_no_mode(said: Said) -> None:
    code = (
        "import os, tempfile; file = tempfile.TemporaryFile(); print(os.fstat(file.fileno()).st_mode & 0o777)"
    )
    assert said(code) == "0"


def test_the_names_of_unix_sockets_are_shorter(said: Said) -> None:
    code = """
        import socket
        sock = socket.socket(socket.AF_UNIX)
        try: sock.bind('/tmp/' + 100 * 'x')
        except OSError as error: print(error.strerror)
        sock.bind('/tmp/short')
        """
    assert said(code) == "File name too long"


# How it is chosen.


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        (
            ["/usr", "/workspace"],
            "/workspace holds packages of the interpreter, but every sandbox has its own",
        ),
        (["/var"], "/var holds packages of the interpreter, but every sandbox has its own"),
        (["/opt/a:b"], "there is a colon in its name"),
        (
            [f"/opt/{number}" for number in range(101)],
            "fakechroot can exclude 100 directories at most; there are 101",
        ),
    ],
)
def test_packages_that_it_cannot_leave_where_they_are_are_refused(paths: list[str], reason: str) -> None:
    with pytest.raises(OSError, match=reason):
        preload._excluded(paths)


def test_a_directory_in_another_is_not_named_twice() -> None:
    assert preload._excluded(["/usr/lib", "/workspace/src", "/usr", "/usr"]) == ["/usr", "/workspace/src"]


def test_a_machine_without_it_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preload, "_LIBRARIES", ())
    with pytest.raises(
        EmulatorError, match=r"libfakechroot is not installed .Debian.*apt-get install -y fakechroot"
    ):
        Emulator(isolation="preload", server="thread").start()


def test_musl_is_told_that_it_is_not_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)
    with pytest.raises(EmulatorError, match="musl is not supported"):
        Emulator(isolation="preload", server="thread").start()


def test_a_directory_that_vanishes_during_a_copy_leaves_the_working_directory(said: Said) -> None:
    code = (
        "import os, shutil\n"
        "from podflare_guest.files import tree\n"
        "os.makedirs('/root/from/d'), os.mkdir('/root/to')\n"
        "for name in 'ab': os.symlink('x', '/root/from/d/' + name)\n"
        "def resolve(path, _):\n"
        "    shutil.rmtree('/root/from/d')\n"
        "    return path\n"
        "ends = [os.open(f'/root/{name}', os.O_RDONLY) for name in ('from', 'to')]\n"
        "tree.synchronize(*ends, resolve=resolve)\n"
        "print(len(os.listdir('/root/to/d')), os.getcwd())"
    )
    assert said(code) == "1 /root"
