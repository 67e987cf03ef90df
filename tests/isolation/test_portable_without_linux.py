"""Portable isolation with everything switched off that only Linux has: as near to a macOS as a Linux machine comes."""

from __future__ import annotations

import os
import resource
import shlex
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import podflare_emulator.guest
from podflare import Client, Sandbox
from podflare_emulator import Emulator
from podflare_emulator.guest import protocol
from podflare_emulator.guest.order import Python
from podflare_emulator.hosting.machine import interpreter

from ..matrix import SLOW

_WRAPPER = """\
#!/bin/bash -p
switches=()
while [[ $1 == -[ISB] ]]; do switches+=("$1"); shift; done
[[ $1 == {guest} ]] && set -- {without_linux} "$@"
exec -a "$0" {python} "${{switches[@]}}" "$@"
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is nothing to switch off")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    python = _dressed_up(interpreter.find(None), tmp_path_factory.mktemp("python"))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter, "find", lambda executable, root="", entries=None: python)
        patch.setattr(sys, "platform", "darwin")
        patch.setattr(protocol, "_CLOSE_ON_EXEC", 0)
        patch.delattr(os, "memfd_create")
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
        try:
            with Emulator(server="thread") as emulator:  # which has what is patched here
                yield emulator
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def _dressed_up(python: Python, place: Path) -> Python:
    """The same Python, which runs the emulator's own code without what is Linux's."""
    wrapper = place / "bin" / Path(python.executable).name
    wrapper.parent.mkdir()
    (place / "lib").symlink_to(f"{python.prefix}/lib")
    words = {
        "guest": Path(podflare_emulator.guest.__file__).parent,
        "without_linux": Path(__file__).with_name("without_linux.py"),
        "python": python.executable,
    }
    wrapper.write_text(_WRAPPER.format_map({name: shlex.quote(str(word)) for name, word in words.items()}))
    wrapper.chmod(0o755)
    return python._replace(executable=str(wrapper), prefix=str(place), path=(*python.path, python.prefix))


@pytest.fixture
def sandbox(emulator: Emulator) -> Iterator[Sandbox]:
    with Sandbox(host=emulator.url) as sandbox:
        yield sandbox


def printed(sandbox: Sandbox, code: str) -> str:
    result = sandbox.run_code(code)
    assert (result.exit_code, result.stderr) == (0, ""), result
    return result.stdout


def test_the_processes_inside_take_the_system_for_macos(emulator: Emulator, sandbox: Sandbox) -> None:
    assert emulator.isolation == "portable"
    code = "import os, sys; print(sys.platform, hasattr(os, 'memfd_create'), os.path.isdir('/root'))"
    assert printed(sandbox, code) == "darwin False True"


def test_python_keeps_its_names_and_bash_sees_its_files(sandbox: Sandbox) -> None:
    printed(sandbox, "total = 41; open('/root/a.txt', 'w').write('from Python')")
    assert printed(sandbox, "print(total + 1)") == "42"
    result = sandbox.run_code("cat /root/a.txt; exit 3", "bash")
    assert (result.stdout, result.exit_code) == ("from Python", 3)


def test_the_sandbox_s_own_python_starts(sandbox: Sandbox) -> None:
    sandbox.run_code(
        "echo 'print(open(\"/root/a.txt\").read())' > /root/show.py; echo hello > /root/a.txt", "bash"
    )
    result = sandbox.run_code("python3 /root/show.py", "bash")
    assert (result.stdout.strip(), result.stderr) == ("hello", "")


def test_files_go_up_and_come_down(sandbox: Sandbox) -> None:
    content = os.urandom(300_000)
    sandbox.upload(content, "/data/blob")
    assert sandbox.download("/data/blob") == content


def test_a_file_of_the_test_s_author_is_there(emulator: Emulator) -> None:
    emulator.files["/data/seed.txt"] = b"planted"
    with Sandbox(host=emulator.url) as sandbox:
        assert printed(sandbox, "print(open('/data/seed.txt').read())") == "planted"
    emulator.reset()


def test_children_of_a_fork_go_on_in_files_of_their_own(sandbox: Sandbox) -> None:
    printed(sandbox, "log = open('/root/log.txt', 'w+'); log.write('parent '); log.flush(); who = 'parent'")
    children = sandbox.fork(2)
    for number, child in enumerate(children):
        printed(child, f"log.write('child {number}'); log.flush(); who = {number}")
    printed(sandbox, "log.write('goes on'); log.flush()")
    assert [printed(one, "log.seek(0); print(who, log.read())") for one in (sandbox, *children)] == [
        "parent parent goes on",
        "0 parent child 0",
        "1 parent child 1",
    ]
    for child in children:
        child.close()


def test_an_unlinked_file_is_split_too(sandbox: Sandbox) -> None:
    printed(
        sandbox,
        "import tempfile; scratch = tempfile.TemporaryFile('w+'); scratch.write('a'); scratch.flush()",
    )
    (child,) = sandbox.fork()
    with child:
        printed(child, "scratch.write('b'); scratch.flush()")
        printed(sandbox, "scratch.write('c'); scratch.flush()")
        code = "scratch.seek(0); print(scratch.read())"
        assert (printed(sandbox, code), printed(child, code)) == ("ac", "ab")


def test_diff_and_merge(sandbox: Sandbox) -> None:
    printed(sandbox, "open('/root/a.txt', 'w').write('old'); value = 'old'")
    (child,) = sandbox.fork()
    with child:
        printed(child, "open('/root/a.txt', 'w').write('new'); value = 'new'")
        assert "/root/a.txt" in str(sandbox.diff(child))
        sandbox.merge_into(child)
        assert printed(sandbox, "print(value, open('/root/a.txt').read())") == "new new"


def test_sandboxes_side_by_side_do_not_see_each_other(emulator: Emulator) -> None:
    with Client(host=emulator.url) as client, Sandbox(client=client) as one, Sandbox(client=client) as other:
        printed(one, "open('/tmp/mine', 'w').write('one')")
        assert printed(other, "import os; print(os.path.exists('/tmp/mine'))") == "False"


def test_a_close_ends_the_guest_and_what_its_code_and_its_shells_have_started(emulator: Emulator) -> None:
    with Sandbox(host=emulator.url) as sandbox:
        guest = int(printed(sandbox, "import os; print(os.getpid())"))
        of_python = printed(sandbox, "import subprocess; print(subprocess.Popen(['sleep', '1000']).pid)")
        of_bash = sandbox.run_code("sleep 1000 >/dev/null 2>&1 & echo $!", "bash").stdout
        started = [psutil.Process(pid) for pid in (guest, int(of_python), int(of_bash))]
    assert not any(map(_runs, started))


@SLOW
def test_how_a_guest_ended_by_itself_is_not_known(sandbox: Sandbox) -> None:
    """It is nobody's child but the system's: there is no subreaper."""
    assert sandbox.run_code("import os; os._exit(3)").exit_code == 137


def test_shared_mappings_stay_shared_with_a_fork(sandbox: Sandbox) -> None:
    printed(
        sandbox,
        "import mmap; file = open('/root/map', 'w+b'); file.truncate(4); memory = mmap.mmap(file.fileno(), 4)",
    )
    (child,) = sandbox.fork()
    with child:
        printed(child, "memory[:] = b'mine'")
        assert printed(sandbox, "print(memory[:])") == "b'mine'"


def test_descriptors_arrive_close_on_exec(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS has no flag to have them so as the message is received."""
    monkeypatch.setattr(protocol, "_CLOSE_ON_EXEC", 0)
    sender, receiver = map(protocol.Connection, socket.socketpair())
    sender.send({"op": "take"}, [0])
    arrived = receiver.receive()
    assert arrived is not None
    message, (descriptor,) = arrived
    assert (message, os.get_inheritable(descriptor)) == ({"op": "take"}, False)
    os.close(descriptor)
    sender.close()
    receiver.close()


@SLOW
def test_a_stop_leaves_no_guest_and_no_directory(emulator: Emulator) -> None:
    another = Emulator(server="thread")
    another.start()
    with Client(host=another.url) as client:
        sandbox = Sandbox(client=client)
        guest = psutil.Process(int(printed(sandbox, "import os; print(os.getpid())")))
    states = _states()
    another.stop()
    assert not _runs(guest)
    assert len(_states()) == len(states) - 1


def _states() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob("podflare-emulator-*"))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
