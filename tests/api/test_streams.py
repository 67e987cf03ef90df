"""Streams through a real server: live, escaped, and given up when the client goes away."""

import json
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from podflare_emulator.api import ndjson

from .fake_domain import SANDBOX_ID, FakeExecution, FakeRegistry, app_over, exited, stdout

EXEC = f"/v1/sandboxes/{SANDBOX_ID}/exec"
PATIENCE = 30  # seconds until a test that waits in vain fails


@pytest.fixture
def registry() -> FakeRegistry:
    registry = FakeRegistry()
    registry.sandbox.events = None
    return registry


@pytest.fixture
def client(registry: FakeRegistry) -> Iterator[httpx.Client]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app_over(registry), lifespan="off", log_config=None))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        with httpx.Client(
            base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=PATIENCE
        ) as client:
            yield client
        server.should_exit = True
        thread.join()


def running(registry: FakeRegistry) -> FakeExecution:
    assert registry.sandbox.started.wait(PATIENCE)
    assert registry.sandbox.execution is not None
    return registry.sandbox.execution


def test_an_event_arrives_before_the_next_is_produced(registry: FakeRegistry, client: httpx.Client) -> None:
    with client.stream("POST", EXEC, json={"code": ""}) as response:
        assert response.status_code == 200
        lines = response.iter_lines()
        execution = running(registry)
        execution.produce(stdout("1"))
        assert json.loads(next(lines))["data"] == "1"
        execution.produce(stdout("2", seq=1), exited(seq=2))
        assert [json.loads(line)["data"] for line in lines] == ["2", 0]
    assert not execution.abandoned.is_set()


def test_a_connection_serves_one_exec_after_another(registry: FakeRegistry, client: httpx.Client) -> None:
    registry.sandbox.events = [exited()]
    for number in range(3):
        assert client.post(EXEC, json={"code": str(number)}).status_code == 200
    assert registry.sandbox.executed == [(str(number), "python") for number in range(3)]


def test_a_client_that_goes_away_mid_stream_has_its_exec_abandoned(
    registry: FakeRegistry, client: httpx.Client
) -> None:
    with client.stream("POST", EXEC, json={"code": ""}) as response:
        execution = running(registry)
        execution.produce(stdout("1"))
        next(response.iter_lines())
    assert execution.abandoned.wait(PATIENCE)


def test_a_client_that_goes_away_before_its_turn_never_has_its_code_run(
    registry: FakeRegistry, client: httpx.Client
) -> None:
    registry.sandbox.busy = True
    body = b'{"code": "danger()"}'
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
        connection.sendall(
            b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" % EXEC.encode()
            + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        assert registry.sandbox.waiting.wait(PATIENCE)
    assert registry.sandbox.gave_up.wait(PATIENCE)
    assert registry.sandbox.executed == []
    assert client.get("/v1/healthz").text == "ok"


def test_a_stream_that_breaks_is_cut_off_so_that_nobody_takes_it_for_whole(
    registry: FakeRegistry, client: httpx.Client
) -> None:
    with client.stream("POST", EXEC, json={"code": ""}) as response:
        execution = running(registry)
        execution.fail(ZeroDivisionError())
        with pytest.raises(httpx.RemoteProtocolError):
            response.read()
    assert execution.abandoned.wait(PATIENCE)


def test_every_character_that_ends_a_line_for_str_splitlines_leaves_escaped() -> None:
    breaks = [chr(code) for code in range(0x110000) if len(f"a{chr(code)}b".splitlines()) > 1]
    assert {"\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"} < set(breaks)
    texts = [f"a{character}b" for character in breaks]
    sent = ndjson.encode([stdout(text, seq) for seq, text in enumerate(texts)])
    assert sent.isascii()
    assert [json.loads(line)["data"] for line in sent.decode().splitlines()] == texts


@pytest.mark.parametrize("text", ["", '"\\', "\0\x1b[0m\x7f", "é😀\ufffd", "x" * 2**20])
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert json.loads(ndjson.encode([stdout(text)]))["data"] == text


def test_the_keys_of_an_event_have_one_order_and_an_exit_code_is_a_number() -> None:
    assert ndjson.encode([exited(137, seq=9)]) == b'{"type":"exit","data":137,"seq":9,"ts":1700000000000}\n'
