"""What preload and portable isolation cannot: a test fails the day they can, and its row in docs/fidelity.md goes."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import psutil
import pytest

from podflare import Sandbox
from podflare_emulator import Emulator


def test_numbers_of_users_and_processes_are_the_machine_s(directory_emulator: Emulator) -> None:
    with Sandbox(host=directory_emulator.url) as sandbox:
        assert sandbox.run_code("id -u", "bash").stdout == str(os.getuid())
        assert sandbox.run_code(f"import os; print(os.path.exists('/proc/{os.getpid()}'))").stdout == "True"


@pytest.mark.skipif(os.getuid() == 0, reason="root may read any file")
def test_a_fork_lacks_a_file_that_its_owner_may_not_read(directory_emulator: Emulator) -> None:
    with Sandbox(host=directory_emulator.url) as sandbox:
        sandbox.run_code("echo there > /root/open; echo in > /root/shut; chmod 0 /root/shut", "bash")
        (child,) = sandbox.fork(1)
        with child:
            assert child.run_code("ls /root", "bash").stdout == "open"


@pytest.mark.parametrize("directory", ["/root", "/usr"])
def test_a_daemon_that_has_emptied_its_environment_ends_with_its_sandbox_if_it_stayed_there(
    directory_emulator: Emulator, directory: str
) -> None:
    with Sandbox(host=directory_emulator.url) as sandbox:
        started = sandbox.run_code(
            f"cd {directory}; setsid env -i sleep 1000 & until pgrep -P $! -x sleep || "
            "[ $(ps -o comm= -p $!) = sleep ]; do sleep 0.01; done; echo $!",
            "bash",
        )
        daemon = psutil.Process(int(started.stdout.split()[-1]))
    outlives = directory == "/usr"
    assert _runs(daemon) == outlives
    if outlives:
        daemon.kill()


def test_a_daemon_that_is_a_fork_ends_with_its_sandbox_wherever_it_is(directory_emulator: Emulator) -> None:
    with Sandbox(host=directory_emulator.url) as sandbox:
        started = sandbox.run_code(
            "import os, time\n"
            "reader, writer = os.pipe()\n"
            "if os.fork() == 0:\n"
            "    os.setsid(); os.chdir('/usr')\n"
            "    if os.fork(): os._exit(0)\n"
            "    os.write(writer, str(os.getpid()).encode())\n"
            "    time.sleep(1000)\n"
            "print(os.read(reader, 100).decode())\n"
        )
        daemon = psutil.Process(int(started.stdout))
    assert not _runs(daemon)


def _runs(process: psutil.Process) -> bool:
    # A zombie does not: it may be reaped at any moment.
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def portable(directory_emulator: Emulator) -> Emulator:
    if directory_emulator.isolation != "portable":
        pytest.skip("preload isolation can")
    return directory_emulator


def test_c_code_does_not_find_the_sandbox_s_files(portable: Emulator) -> None:
    code = "import ctypes; open('/root/x', 'w').close(); print(ctypes.CDLL(None).access(b'/root/x', 0))"
    with Sandbox(host=portable.url) as sandbox:
        assert sandbox.run_code(code).stdout == "-1"


def test_paths_that_bash_puts_together_are_not_rewritten(portable: Emulator) -> None:
    with Sandbox(host=portable.url) as sandbox:
        assert sandbox.run_code("touch /root/x; R=root; cat /$R/x", "bash").exit_code == 1


def test_whoami_is_you(portable: Emulator) -> None:
    with Sandbox(host=portable.url) as sandbox:
        said = sandbox.run_code("whoami", "bash").stdout
    assert said == pwd.getpwuid(os.getuid()).pw_name


def test_the_host_s_files_can_be_read(portable: Emulator, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("the host's")
    code = (
        f"import ctypes; libc = ctypes.CDLL(None); print(libc.access({str(tmp_path / 'file').encode()!r}, 4))"
    )
    with Sandbox(host=portable.url) as sandbox:
        assert sandbox.run_code(code).stdout == "0"
