"""Slow answers: a client that will not wait for one has met it, however fast the machine is."""

from __future__ import annotations

import http.client
import json
import re
import select
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from podflare import Client, Sandbox, ServerError
from podflare_emulator import Emulator, EmulatorError
from podflare_emulator.domain.testing.calls import Asked
from podflare_emulator.domain.testing.faults import Faults, read_latency
from podflare_emulator.domain.testing.timings import published
from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest

from ..matrix import SLOW

LONG = 600  # seconds; nobody waits for it
_IMPATIENCE = 1  # seconds; a busy machine too has begun with the call by then


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def impatient(emulator: Emulator) -> Iterator[Client]:
    """Only for calls that it is to give up."""
    with Client(timeout=_IMPATIENCE) as client:
        yield client


@SLOW
def test_a_client_gives_up_on_a_slow_answer_and_the_call_was_made(
    emulator: Emulator, impatient: Client
) -> None:
    latency = emulator.latency("create", LONG, times=1)
    with pytest.raises(httpx.ReadTimeout):
        Sandbox(client=impatient)
    assert latency.used == 1
    with Client() as client:
        Sandbox(client=client)
    assert len(emulator.reset()) == 2


def test_a_slow_answer_holds_up_nobody_else(emulator: Emulator) -> None:
    emulator.latency("exec", LONG, times=1)
    with Sandbox() as sandbox:
        connection = http.client.HTTPConnection(urlsplit(emulator.url).netloc)
        body = json.dumps({"code": "slow = 1"})
        path = f"/v1/sandboxes/{sandbox.id}/exec"
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        while not emulator.execs(code="slow"):
            pass
        assert sandbox.run_code("print(slow)").stdout == "1"
        assert select.select([connection.sock], [], [], 0)[0] == []
        connection.close()


def test_a_latency_is_drawn_between_two(emulator: Emulator) -> None:
    latency = emulator.latency("any", (0, 0.001))
    with Sandbox() as sandbox:
        assert sandbox.run_code("print(1)").stdout == "1"
    assert latency.used == 3


@SLOW
def test_a_fault_is_as_late_as_an_answer(emulator: Emulator, impatient: Client) -> None:
    emulator.fault("create", status=503, times=None)
    emulator.latency("create", LONG, times=1)
    with pytest.raises(httpx.ReadTimeout):
        Sandbox(client=impatient)
    with pytest.raises(ServerError):
        Sandbox()


@SLOW
def test_an_empty_pool_makes_creates_wait_for_a_cold_boot(emulator: Emulator, impatient: Client) -> None:
    emulator.empty_pool(times=2)
    for _ in range(2):
        with pytest.raises(httpx.ReadTimeout):
            Sandbox(client=impatient)
    with Sandbox() as sandbox:
        assert sandbox.run_code("print(1)").stdout == "1"


def test_the_hosted_profile_takes_the_vendors_time(emulator: Emulator) -> None:
    emulator.use_profile("hosted")
    with Sandbox() as sandbox:
        assert sandbox.run_code("print(1)").stdout == "1"
        sandbox.fork()[0].close()
        emulator.use_profile("local")
    (fork,) = emulator.requests(call="fork")
    (create,) = emulator.requests(call="create")
    assert fork.duration_ms is not None
    assert create.duration_ms is not None
    # At least 92 and 7, but both ends are whole milliseconds.
    assert fork.duration_ms >= 91
    assert create.duration_ms >= 6


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Asked("create"), (0.007, 0.011)),
        (Asked("create", custom=True), (1.4, 1.4)),
        (Asked("exec"), (0.003, 0.005)),
        (Asked("destroy"), (0.030, 0.050)),
        (Asked("fork", n=1), (0.092, 0.092)),
        (Asked("fork", n=2), (0.102, 0.102)),
        (Asked("fork", n=5), (0.101, 0.101)),
        (Asked("merge_into"), (0, 0)),
    ],
)
def test_the_vendors_published_timings(asked: Asked, expected: tuple[float, float]) -> None:
    assert published(asked) == expected
    delay = Faults(profile="hosted").delay(asked)
    assert expected[0] <= delay <= expected[1]


def test_delays_are_the_same_after_each_reset_under_a_seed() -> None:
    def drawn(faults: Faults) -> list[float]:
        faults.add(read_latency("exec", low=1, high=2))
        asked = [Asked("exec"), Asked("create"), Asked("exec"), Asked("create")]
        delays = [faults.delay(one) for one in asked]
        faults.clear()
        return delays

    faults = Faults(seed=7, profile="hosted")
    first = drawn(faults)
    assert drawn(faults) == first == drawn(Faults(seed=7, profile="hosted"))
    assert drawn(Faults(seed=8, profile="hosted")) != first
    assert len(set(first)) == 4


def test_the_profile_of_the_settings_is_back_after_a_reset() -> None:
    faults = Faults(profile="hosted")
    faults.use("local")
    assert not faults.arranged
    faults.clear()
    assert faults.arranged
    with pytest.raises(InvalidRequest, match="profile: expected local or hosted, got 'cloud'"):
        faults.use("cloud")


@pytest.mark.parametrize(
    ("seconds", "options", "message"),
    [
        ("fast", {}, "seconds: expected a number such as 0.5, or (low, high), got 'fast'"),
        (-1, {}, "got -1"),
        ((2, 1), {}, "got (2, 1)"),
        pytest.param(10**400, {}, "seconds: expected a number", id="huge"),
        ((1, 2, 3), {}, "got (1, 2, 3)"),
        (1, {"times": 0}, "times: expected 1 or more"),
        (1, {"code": "x"}, "code: only an exec has one"),
    ],
)
def test_a_latency_that_cannot_be_meant_is_refused(
    emulator: Emulator, seconds: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(EmulatorError, match=re.escape(message)):
        emulator.latency("fork", seconds, **options)


@SLOW
@pytest.mark.parametrize("end", ["reset", "stop"])
def test_who_waits_when_the_test_ends_waits_no_longer(end: str) -> None:
    with Emulator(isolation="portable") as emulator, ThreadPoolExecutor(1) as threads:
        emulator.latency("healthz", LONG)
        waiting = threads.submit(httpx.get, f"{emulator.url}/v1/healthz", timeout=60)
        while not emulator.requests(call="healthz"):
            pass
        emulator.reset() if end == "reset" else emulator.stop()
        assert waiting.result().text == "ok"
