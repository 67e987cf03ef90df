"""Objects of a test's that use the emulator when they are collected, in whatever thread the collector runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..matrix import SLOW, servers
from .published import run_with_the_published_client

_CLOSES = """
import gc, time
from podflare import Sandbox

class Tool:
    def __init__(self):
        self.sandbox = Sandbox()
        self.me = self

    def __del__(self):
        self.sandbox.close()

def test_many(podflare_emulator):
    threshold = gc.get_threshold()
    gc.set_threshold(50)  # so that the server's thread, where there is one, collects as well
    for _ in range(300):
        began = time.monotonic()
        Tool()
        assert time.monotonic() - began < 15, "somebody has waited for himself"
    gc.set_threshold(*threshold)
    gc.collect()  # those that are left, as long as there is an emulator
    assert len(podflare_emulator.requests()) > 300, "some were collected"
"""

_RUNS = """
import gc, time
from podflare import Sandbox

said, ran = [], []

class Tool:
    def __init__(self):
        self.sandbox = Sandbox()
        self.me = self

    def __del__(self):
        try:
            ran.append(self.sandbox.run_code("print(1)").stdout)
        except Exception as error:
            said.append(str(error))
        self.sandbox.close()

def test_many(podflare_emulator):
    threshold = gc.get_threshold()
    gc.set_threshold(50)  # so that the server's thread, where there is one, collects as well
    for number in range(60):
        Tool()
    gc.set_threshold(*threshold)
    until = time.monotonic() + 60
    while len(ran) + len(said) < 60 and time.monotonic() < until:
        gc.collect()  # which does nothing while another thread does it
    assert len(ran) + len(said) == 60
    assert set(ran) == {"1"}
    assert all("Sandbox.run_code is called in the server's own thread" in error for error in said), said
"""

_ASKS = """
import gc

said = set()

class Watcher:
    def __init__(self, emulator):
        self.emulator, self.me = emulator, self

    def __del__(self):
        try:
            self.emulator.execs()
        except Exception as error:
            said.add(str(error))

def test_many(podflare_emulator, podflare_sandbox):
    threshold = gc.get_threshold()
    gc.set_threshold(50)  # so that the server's thread, where there is one, collects as well
    for number in range(50):
        Watcher(podflare_emulator)
        podflare_sandbox.run_code("print(1)")
    gc.set_threshold(*threshold)
    gc.collect()
    assert all("in the server's own thread" in error for error in said), said
"""


_CLOSES_DURING_A_CLOSE = """
import gc, time
import httpcore
from podflare import Sandbox

class Tool:
    def __init__(self, sandbox):
        self.sandbox, self.me = sandbox, self

    def __del__(self):
        self.sandbox.close()

def test_it(podflare_emulator, monkeypatch):
    collected, other = Sandbox(), Sandbox()
    pool = httpcore.ConnectionPool
    assign = pool._assign_requests_to_connections

    def collecting(pool):  # holds the pool's lock
        gc.collect()
        return assign(pool)

    gc.disable()
    Tool(collected)
    monkeypatch.setattr(pool, "_assign_requests_to_connections", collecting)
    other.close()
    gc.enable()
    until = time.monotonic() + 60
    while len(podflare_emulator.requests(call="destroy", status=204)) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(podflare_emulator.requests(call="destroy", status=204)) == 2
"""


def test_a_finalizer_in_the_middle_of_another_close(
    pytester: pytest.Pytester, run_pytest: Callable[..., pytest.RunResult]
) -> None:
    pytester.makepyfile(_CLOSES_DURING_A_CLOSE)
    run_pytest().assert_outcomes(passed=1)


_CLOSES_IN_A_WIDER_SCOPE = """
import threading
from contextlib import closing
import pytest
from podflare import Client, Sandbox

@pytest.fixture(scope="module")
def client(podflare_emulator_module):
    with closing(Client(host=podflare_emulator_module.url)) as client:
        yield client

def test_it(client, podflare_emulator, podflare_sandbox, monkeypatch):
    started = []
    monkeypatch.setattr(threading.Thread, "start", started.append)
    for number in range(1, 4):
        Sandbox(client=client).close()
        Sandbox().close()
        assert len(podflare_emulator.requests(call="destroy", status=204)) == 2 * number
    podflare_sandbox.close()
    assert len(podflare_emulator.requests(call="destroy", status=204)) == 7
    assert not started
"""


def test_a_close_in_a_wider_scope_waits_for_the_answer(
    pytester: pytest.Pytester, run_pytest: Callable[..., pytest.RunResult]
) -> None:
    pytester.makepyfile(_CLOSES_IN_A_WIDER_SCOPE)
    run_pytest().assert_outcomes(passed=1)


@SLOW
@pytest.mark.parametrize("server", servers())
@pytest.mark.parametrize(
    "test", [_CLOSES, _RUNS, _ASKS], ids=["closes a sandbox", "runs code", "asks the emulator"]
)
def test_a_finalizer(pytester: pytest.Pytester, server: str, test: str) -> None:
    pytester.makepyfile(test)
    result = pytester.runpytest_subprocess(
        "-p", "no:randomly", "-W", "ignore", f"--podflare-server={server}", timeout=120
    )
    result.assert_outcomes(passed=1)


@SLOW
@pytest.mark.parametrize("server", servers())
def test_a_finalizer_that_closes_a_sandbox_of_the_published_client(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", f"-W ignore --podflare-server={server}")
    assert "1 passed" in run_with_the_published_client(pytester, monkeypatch, _CLOSES)


_CLOSES_WHAT_A_FORK_HAS_MADE = """
import pytest
from podflare import Sandbox
from podflare.errors import ThreadsLeftBehindWarning

@pytest.mark.parametrize("wider", [None, "podflare_emulator_module"])
def test_it(podflare_emulator, podflare_sandbox, request, wider):
    if wider:
        request.getfixturevalue(wider)
    podflare_sandbox.run_code("import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()")
    podflare_emulator.latency("destroy", 0.2)
    with pytest.raises(ThreadsLeftBehindWarning):
        podflare_sandbox.fork(2)
    assert len(podflare_emulator.requests(call="destroy", status=204)) == 2
"""


def test_a_call_that_closes_as_a_step_waits_for_the_answer(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_CLOSES_WHAT_A_FORK_HAS_MADE)
    pytester.runpytest_subprocess("-W", "error::podflare.errors.ForkWarning").assert_outcomes(passed=2)
