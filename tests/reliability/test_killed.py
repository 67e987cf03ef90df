"""However an emulator ends, nothing of it is left."""

import os
import signal
import sys
import tarfile
from functools import partial
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]
import pytest

from podflare import Client, Sandbox, ServerError

from ..machine import small_tree
from ..matrix import SLOW
from .command import Command, eventually, every_one_has_ended, launch, nothing_is_left
from .conftest import Start

# A daemon that has left its session, its parent and its standard streams.
DAEMON = "(setsid sleep 1000 < /dev/null > /dev/null 2>&1 &)"


@pytest.fixture(scope="module")
def archive(isolation: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A system as a tar file, with a directory that its owner may not write."""
    if isolation != "namespace":
        pytest.skip("only namespace isolation takes a system")
    if missing := small_tree.missing():
        pytest.skip(missing)
    directory = tmp_path_factory.mktemp("system")
    small_tree.build(directory / "tree")
    (directory / "tree/closed").mkdir()
    (directory / "tree/closed/file").touch()
    (directory / "tree/closed").chmod(0o555)
    with tarfile.open(directory / "tree.tar", "w") as tar:
        tar.add(directory / "tree", ".")
    (directory / "tree/closed").chmod(0o755)  # pytest removes it
    return directory / "tree.tar"


def fill(command: Command) -> Client:
    """Sandboxes with forks, daemons, files and an exec that still runs; the client keeps that connection."""
    client = Client(host=command.url)
    for _ in range(2):
        sandbox = Sandbox(client=client)
        for each in (sandbox, *sandbox.fork(2)):
            each.run_code("import subprocess; child = subprocess.Popen(['sleep', '1000'])")
            each.run_code(f"{DAEMON}; sleep 1000 & mkdir -p /root/a/b; echo x > /root/a/b/c", "bash")
    running = Sandbox(client=client).run_code_stream("print('running')\nwhile True: pass")
    next(running)
    return client


def cannot_be_made(client: Client) -> bool:
    try:
        Sandbox(client=client).close()
    except ServerError:
        return True
    return False


def of_the_machine(temporary: Path) -> tuple[list[str], set[str]]:
    """Mounts that have to do with this directory, and network interfaces."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return [line for line in mounts if str(temporary) in line], set(os.listdir("/sys/class/net"))


@SLOW
@pytest.mark.skipif(sys.platform != "linux", reason="/proc and /sys are Linux's")
def test_kill_9_leaves_no_process_no_file_no_mount_and_no_interface(start: Start, tmp_path: Path) -> None:
    before = of_the_machine(tmp_path)
    command = start()
    with fill(command):
        inside = command.inside()
        assert len(inside) > 20
        assert command.end(signal.SIGKILL) == -signal.SIGKILL
        nothing_is_left(inside, command.temporary)
    assert of_the_machine(tmp_path) == before


@SLOW
def test_when_the_warden_is_killed_everything_goes_on_and_the_next_start_removes_the_files(
    start: Start,
) -> None:
    command = start()
    with fill(command) as client:
        inside = command.inside()
        [warden] = psutil.Process(command.process.pid).children()
        warden.kill()
        with Sandbox(client=client) as sandbox:
            assert sandbox.run_code("print('works')").stdout == "works"
        command.end()
    eventually(partial(every_one_has_ended, inside))
    [left] = command.directories()
    start()
    eventually(lambda: not left.exists())


@SLOW
def test_when_the_keeper_is_killed_the_sandboxes_end_and_nothing_is_left(start: Start) -> None:
    command = start()
    with fill(command) as client:
        inside = command.inside()
        [warden] = psutil.Process(command.process.pid).children()
        min(warden.children(), key=lambda child: child.pid).kill()  # the others are for networks
        eventually(partial(cannot_be_made, client))
        command.end()
        nothing_is_left(inside, command.temporary)


@SLOW
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_with_exit_0_and_nothing_is_left_by_then(
    start: Start, number: signal.Signals
) -> None:
    command = start()
    with fill(command):
        inside = command.inside()
        assert command.end(number) == 0
        assert not [process for process in inside if process.is_running()]
        assert command.directories() == []


@SLOW
def test_ctrl_c_in_a_terminal_ends_it_with_exit_0(start: Start) -> None:
    command = start()
    with fill(command):
        inside = command.inside()
        os.killpg(command.process.pid, signal.SIGINT)
        os.killpg(command.process.pid, signal.SIGINT)
        assert command.process.wait() == 0
        nothing_is_left(inside, command.temporary)


@SLOW
def test_an_idle_emulator_that_is_killed_leaves_nothing(start: Start) -> None:
    command = start()
    inside = command.inside()
    command.end(signal.SIGKILL)
    nothing_is_left(inside, command.temporary)


@SLOW
def test_killed_while_it_starts_it_leaves_no_process_and_no_file_that_the_next_does_not_remove(
    start: Start, isolation: str, tmp_path: Path
) -> None:
    for _ in range(5):
        process = launch(tmp_path, "--isolation", isolation)
        eventually(lambda: bool(list(tmp_path.glob("podflare-emulator-*/lock"))))
        inside = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate()
        eventually(partial(every_one_has_ended, inside))
    command = start()
    eventually(lambda: len(command.directories()) == 1)
    command.end()
    assert command.directories() == []


@SLOW
def test_what_was_killed_before_it_could_lock_its_directory_is_removed_by_a_later_start(
    start: Start, tmp_path: Path
) -> None:
    old, new = tmp_path / "podflare-emulator-old", tmp_path / "podflare-emulator-new"
    for directory in (old, new):
        directory.mkdir()
    os.utime(old, (1, 1))
    command = start()
    eventually(lambda: not old.exists())
    assert new.exists()
    command.end()


@SLOW
def test_what_is_left_when_everything_was_killed_is_removed_by_the_next_start(start: Start) -> None:
    command = start()
    with fill(command):
        inside = command.inside()
        for process in (psutil.Process(command.process.pid), *inside):
            if process.is_running():
                process.kill()
        command.process.wait()
    [left] = command.directories()
    following = start()
    eventually(lambda: not left.exists())
    assert len(following.directories()) == 1
    with Sandbox(host=following.url) as sandbox:
        assert sandbox.run_code("print('works')").stdout == "works"


def test_kill_9_leaves_nothing_of_a_system_in_a_tar_file(start: Start, archive: Path) -> None:
    command = start("--rootfs", str(archive))
    assert len(command.directories()) == 2
    with Client(host=command.url) as client:
        assert Sandbox(client=client).run_code("cat /etc/image", "bash").stdout == "of the image"
        inside = command.inside()
        command.end(signal.SIGKILL)
        nothing_is_left(inside, command.temporary)


def test_kill_9_leaves_nothing_of_a_tar_file_that_is_being_unpacked(archive: Path, tmp_path: Path) -> None:
    process = launch(tmp_path, "--isolation", "namespace", "--rootfs", str(archive))
    eventually(lambda: bool([*tmp_path.glob("podflare-emulator-*/tree/*")]))
    inside = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    nothing_is_left(inside, tmp_path)


def test_a_system_in_a_tar_file_is_removed_by_the_next_start_when_everything_was_killed(
    start: Start, archive: Path
) -> None:
    command = start("--rootfs", str(archive))
    for process in command.inside():
        if process.is_running():
            process.kill()
    command.end(signal.SIGKILL)
    assert len(command.directories()) == 2
    following = start()
    eventually(lambda: len(command.directories()) == 1)
    following.end()
