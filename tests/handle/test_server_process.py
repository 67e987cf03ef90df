"""The server in a process of its own: its end, whoever brings it about, and processes forked from its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from podflare import Sandbox
from podflare_emulator import Emulator, EmulatorError
from podflare_emulator.handle.server import channel, process

from ..matrix import SLOW, servers


@pytest.fixture
def started() -> Iterator[Emulator]:
    emulator = Emulator(isolation="portable")
    emulator.start()
    yield emulator
    emulator.stop()


def server_of(emulator: Emulator) -> psutil.Process:
    assert isinstance(emulator._server, process.ServerProcess)
    assert emulator._server._process
    return psutil.Process(emulator._server._process.pid)


def in_a_child(emulator: Emulator, program: str) -> int:
    """The exit code of a forked child that runs it, and then unwinds as a `with` block does."""
    child = os.fork()
    if not child:
        code = 1
        try:
            exec(program, {"emulator": emulator, "Sandbox": Sandbox})
            code = 0
        finally:
            emulator.stop()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@SLOW
def test_a_forked_child_uses_it_and_does_not_end_it(started: Emulator) -> None:
    program = (
        "assert emulator.execs() == []\nSandbox(host=emulator.url).run_code('1')\nassert emulator.execs()"
    )
    assert in_a_child(started, program) == 0
    assert len(started.execs()) == 1


@SLOW
def test_modules_of_the_tests_are_not_taken_for_those_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("asyncio", "click", "random", "secrets", "uvicorn"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('of the tests')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with Emulator(isolation="portable") as emulator:
        assert emulator.execs() == []


@SLOW
def test_a_child_forked_while_it_starts_has_its_own() -> None:
    emulator = Emulator(isolation="portable")
    emulator.launch()
    assert in_a_child(emulator, "emulator.start()\nSandbox(host=emulator.url).run_code('1')") == 0
    emulator.start()
    assert emulator.execs() == []
    emulator.stop()


@SLOW
def test_a_child_forked_while_a_call_waits(started: Emulator) -> None:
    asked = threading.Event()
    goes_on = threading.Event()

    def answer(_: object) -> str:
        asked.set()
        goes_on.wait()
        return "done"

    started.stub("deploy", answer=answer)
    with Sandbox(host=started.url) as sandbox:
        running = threading.Thread(target=sandbox.run_code, args=("deploy()",))
        running.start()
        asked.wait()
        assert in_a_child(started, "emulator.execs()") == 0
        goes_on.set()
        running.join()


@SLOW
def test_one_that_has_been_killed_is_said_to_have_been(started: Emulator) -> None:
    server_of(started).kill()
    for _ in range(2):
        with pytest.raises(EmulatorError, match="has ended by signal 9"):
            started.execs()


@SLOW
def test_all_children_killed(started: Emulator) -> None:
    assert started.execs() == []
    server = server_of(started)
    for child in [server, *server.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    with pytest.raises(EmulatorError, match="has ended by signal 9"):
        started.execs()
    started.stop()
    with Emulator(isolation="portable") as another:  # which also removes what the first has left
        assert another.execs() == []


@SLOW
def test_one_that_does_not_answer_is_given_up_and_ended(
    started: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "CALL", 0.2)
    server = server_of(started)
    server.send_signal(signal.SIGSTOP)
    with pytest.raises(EmulatorError, match="given up: it did not answer 'execs'"):
        started.execs()
    monkeypatch.setattr(channel, "CALL", 3600)
    with pytest.raises(EmulatorError, match="given up"):  # nobody waits a second time
        started.report()
    started.stop()
    assert not server.is_running()


@SLOW
def test_one_that_does_not_end_is_ended(started: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP", 0.2)
    server = server_of(started)
    server.send_signal(signal.SIGSTOP)
    started.stop()
    assert not server.is_running()


def test_one_that_does_not_start_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "START", 0.2)
    monkeypatch.setattr(process, "_PROGRAM", "import signal; signal.pause()")
    with pytest.raises(EmulatorError, match="did not serve within"):
        Emulator(isolation="portable").start()
    assert not [child for child in psutil.Process().children() if "signal.pause()" in child.cmdline()[-1]]


@SLOW
@pytest.mark.parametrize("server", servers())
def test_it_is_ended_at_the_interpreters_end(server: str) -> None:
    program = f"""
import atexit
from podflare import Sandbox
from podflare_emulator import Emulator
emulator = Emulator(isolation="portable", server={server!r})
emulator.start()
atexit.register(emulator.stop)
print(Sandbox(host=emulator.url).run_code("print(1)").stdout)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
