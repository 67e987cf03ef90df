"""The server in a thread of the test's process, for whoever asks for it: what it cannot do it says, and never waits."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from podflare_emulator import Emulator, EmulatorError
from podflare_emulator.handle.server import thread

from ..matrix import SLOW


@pytest.fixture
def started() -> Iterator[Emulator]:
    with Emulator(isolation="portable", server="thread") as emulator:
        yield emulator


@SLOW
def test_a_forked_child_is_told_where_it_is(started: Emulator) -> None:
    child = os.fork()
    if not child:
        code = 1
        try:
            started.execs()
        except EmulatorError as error:
            code = 0 if "process from which this one was forked" in str(error) else 2
        finally:
            started.stop()
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert started.execs() == []


def in_the_servers_thread(emulator: Emulator, call: str) -> str:
    server = emulator._server
    assert isinstance(server, thread.ServerThread)
    said: list[str] = []
    done = threading.Event()

    def ask() -> None:
        try:
            getattr(emulator, call)()
        except EmulatorError as error:
            said.append(str(error))
        done.set()

    server._loop.call_soon_threadsafe(ask)
    assert done.wait(60)
    return said[0]


@SLOW
@pytest.mark.parametrize("call", ["execs", "reset", "report"])
def test_a_call_in_its_own_thread_is_refused(started: Emulator, call: str) -> None:
    assert "would wait for itself" in in_the_servers_thread(started, call)


@SLOW
def test_one_that_does_not_answer_is_given_up(started: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    server = started._server
    assert isinstance(server, thread.ServerThread)
    goes_on = threading.Event()
    server._loop.call_soon_threadsafe(goes_on.wait)
    monkeypatch.setattr(thread, "CALL", 0.2)
    try:
        with pytest.raises(EmulatorError, match="given up: it did not answer 'execs'"):
            started.execs()
        with pytest.raises(EmulatorError, match="given up"):
            started.forks()
    finally:
        goes_on.set()


@SLOW
def test_no_descriptors_for_the_pool_leave_nothing_behind() -> None:
    program = """
import os, resource, time
import psutil
from podflare import Sandbox
from podflare_emulator import Emulator

emulator = Emulator(isolation="portable", server="thread")
emulator.start()
(Sandbox(host=emulator.url)).run_code("1")
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), hard))
pools = emulator._server._control._registry._stock._pools.values()
for pool in pools:
    emulator._server._loop.call_soon_threadsafe(pool.refill)
while not all(pool._refill and pool._refill.done() for pool in pools):
    time.sleep(0.01)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
emulator.stop()
print(psutil.Process().children())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
