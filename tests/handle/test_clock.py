"""A clock that the test owns: nothing sleeps, and what is due happens in its order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from podflare import Sandbox, ServerError
from podflare_emulator import Emulator, EmulatorError, SettingsError

from .. import matrix

LONG = 5_000  # seconds; nobody waits for it, and no sandbox ends of it


@pytest.fixture(scope="module", params=matrix.servers())
def server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator(server=request.param, clock="skipping") as emulator:
        yield emulator


@matrix.SLOW
def test_a_call_that_has_to_wait_takes_its_time_on_the_clock_alone(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    emulator.latency("exec", LONG)
    assert sandbox.run_code("print(1)").stdout == "1"
    (request,) = emulator.requests(call="exec")
    assert request.duration_ms is not None
    assert LONG * 1000 <= request.duration_ms < LONG * 1000 + 60_000


def test_the_delays_of_a_stub_are_on_the_clock_and_in_its_events(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    emulator.stub("train(", stdout=["epoch 1", LONG, "epoch 2"], delay=10)
    before = emulator.clock.now_ms
    assert sandbox.run_code("train()").stdout == "epoch 1\nepoch 2"
    assert [event.ts - before for event in emulator.the_exec(code="train(").events] == [
        10_000,
        (10 + LONG) * 1000,
        (10 + LONG) * 1000,
    ]


def test_a_stub_that_fails_late_does_so_on_the_clock(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub("import tensorflow", raises=TimeoutError("too slow"), delay=LONG)
    with pytest.raises(ServerError, match="too slow"):
        sandbox.run_code("import tensorflow")


def test_a_manual_clock_stands_still_until_it_is_moved(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.clock.use("manual")
    begun = emulator.clock.now
    emulator.latency("exec", LONG)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(sandbox.run_code, "print(1)")
        while not emulator.execs():
            pass
        emulator.clock.advance(LONG - 1)
        assert not running.done()
        emulator.clock.advance(timedelta(seconds=2))
        assert running.result().stdout == "1"
    assert emulator.clock.now - begun == timedelta(seconds=LONG + 1)


def test_refused_connections_are_let_in_again_by_the_clock(emulator: Emulator) -> None:
    emulator.clock.use("manual")
    with emulator.refusing_connections(LONG):
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{emulator.url}/v1/healthz")
        emulator.clock.advance(LONG + 1)
        assert httpx.get(f"{emulator.url}/v1/healthz").text == "ok"


def test_a_clock_that_goes_on_can_be_moved_too(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.clock.use("real")
    before = emulator.clock.now_ms
    emulator.clock.advance(LONG)
    sandbox.run_code("print(1)")
    assert emulator.the_exec().started >= before + LONG * 1000


def test_a_reset_takes_the_clock_back_to_what_it_was_made_as(emulator: Emulator) -> None:
    before = emulator.clock.now_ms
    emulator.clock.use("manual")
    emulator.clock.advance(LONG)
    emulator.reset()
    assert emulator.clock.kind == "skipping"
    assert emulator.clock.now_ms < before + LONG * 1000


def test_the_time_inside_a_sandbox_is_not_moved(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.clock.use("manual")
    emulator.clock.advance(LONG)
    inside = float(sandbox.run_code("import time; print(time.time())").stdout)
    assert inside * 1000 < emulator.clock.now_ms


@pytest.mark.parametrize(
    "seconds", [-1, float("nan"), float("inf"), pytest.param(10**400, id="huge"), "1", True, None]
)
def test_what_is_no_time_is_refused(emulator: Emulator, seconds: Any) -> None:
    with pytest.raises(EmulatorError, match="seconds"):
        emulator.clock.advance(seconds)


def test_a_kind_that_there_is_not_is_refused(emulator: Emulator) -> None:
    message = "clock: expected real, manual or skipping, got 'fast'"
    with pytest.raises(EmulatorError, match=re.escape(message)):
        emulator.clock.use("fast")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=re.escape(message)):
        Emulator(clock="fast")  # type: ignore[arg-type]


def test_the_control_api_moves_it_for_other_languages(emulator: Emulator) -> None:
    def control(call: str, **arguments: Any) -> Any:
        return httpx.post(f"{emulator.url}/_emulator/{call}", json=arguments).json()

    control("use_clock", kind="manual")
    before = control("clock")["result"]["now"]
    assert control("advance_clock", seconds=LONG) == {"result": None}
    assert control("clock") == {"result": {"kind": "manual", "now": before + LONG * 1000}}
    assert "hundred years" in control("advance_clock", seconds=1e12)["error"]
