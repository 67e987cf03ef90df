"""A server that cannot be reached, and is where it was afterwards."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from podflare import APIConnectionError, Sandbox
from podflare_emulator import Emulator, EmulatorError

from ..matrix import SLOW, servers

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="a socket that does not listen keeps its port on Linux"
)


@pytest.fixture(scope="module", params=servers())
def server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator(server=request.param) as emulator:
        yield emulator


@SLOW
def test_connections_are_refused_those_that_were_open_too_and_all_is_there_afterwards(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    sandbox.run_code("x = 1")
    with emulator.refusing_connections():
        for _ in range(2):
            with pytest.raises(httpx.ConnectError, match="refused") as raised:
                sandbox.run_code("x = 2")
            assert isinstance(raised.value, APIConnectionError)
        assert len(emulator.execs()) == 1, "the emulator itself can be asked"
    assert sandbox.run_code("print(x)").stdout == "1"


def test_a_running_stream_is_reset_and_its_code_interrupted(emulator: Emulator, sandbox: Sandbox) -> None:
    events = sandbox.run_code_stream("print('begun')\nwhile True: pass")
    assert next(events).data == "begun"
    with emulator.refusing_connections(), pytest.raises(httpx.ReadError):
        next(events)
    assert sandbox.run_code("print('next')").stdout == "next"


def test_a_refusal_can_end_by_itself(emulator: Emulator, sandbox: Sandbox) -> None:
    refused, seconds = 0, 0.05
    while not refused:  # on a busy machine a short one is over before it is met
        result = None
        with emulator.refusing_connections(seconds=seconds):
            while result is None:
                try:
                    result = sandbox.run_code("print('back')")
                except httpx.ConnectError:
                    refused += 1
        assert result.stdout == "back"
        assert seconds < 10
        seconds *= 4


def test_a_reset_ends_it(emulator: Emulator) -> None:
    with emulator.refusing_connections():
        emulator.reset()
        assert httpx.get(f"{emulator.url}/v1/healthz").text == "ok"


def test_nobody_gets_the_port_meanwhile(emulator: Emulator, sandbox: Sandbox) -> None:
    url = urlsplit(emulator.url)
    with emulator.refusing_connections():
        for reuse in (0, 1):
            with socket.socket() as thief:
                thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
                with pytest.raises(OSError, match="in use"):
                    thief.bind((url.hostname, url.port))
    assert sandbox.run_code("print(1)").stdout == "1"


def test_a_refusal_of_what_is_refused_or_lasts_no_time_is_a_mistake(emulator: Emulator) -> None:
    with emulator.refusing_connections(), pytest.raises(EmulatorError, match="refused already"):
        emulator.refusing_connections().__enter__()
    with pytest.raises(EmulatorError, match="seconds: expected more than 0, got 0"):
        emulator.refusing_connections(seconds=0).__enter__()
    with pytest.raises(EmulatorError, match="seconds: expected more than 0, got 1"):
        emulator.refusing_connections(seconds=10**400).__enter__()
    with Sandbox() as sandbox:
        assert sandbox.run_code("print(1)").stdout == "1"


@SLOW
@pytest.mark.parametrize("seconds", [None, 600])
def test_an_emulator_ends_while_it_refuses(seconds: float | None) -> None:
    with Emulator(isolation="portable") as emulator, emulator.refusing_connections(seconds):
        emulator.stop()
    with Emulator(port=int(emulator.url.rpartition(":")[2]), isolation="portable") as successor:
        assert httpx.get(f"{successor.url}/v1/healthz").text == "ok"


def test_whoever_asks_for_it_by_http_is_answered(emulator: Emulator) -> None:
    with httpx.Client(base_url=emulator.url) as http:
        endless = http.post("/_emulator/refuse_connections", json={})
        assert endless.status_code == 400
        assert endless.json()["error"].startswith("seconds: for how long?")
        assert http.post("/_emulator/refuse_connections", json={"seconds": 600}).status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{emulator.url}/v1/healthz")
        assert http.post("/_emulator/accept_connections", json={}).status_code == 200
    assert httpx.get(f"{emulator.url}/v1/healthz").text == "ok"
