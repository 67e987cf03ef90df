"""A connection that one call leaves is another one's: it must be whole, and nobody else may break it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

import podflare.aio.transport.network
import podflare.transport.network
from podflare import AsyncClient, Client, ExecTimeoutError, Sandbox
from podflare.core.sockets import is_readable
from podflare.core.wire import LineReader

_PATIENCE = 60  # seconds, so that what hangs is a failure
_EXIT = b'{"type":"exit","data":0,"seq":0,"ts":0}\n'


def _wait(true: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE
    while not true():
        assert time.monotonic() < until
        time.sleep(0.001)


class Sent:
    """The pieces of an answer, and whether all are on their way."""

    def __init__(self, *pieces: dict[str, Any]) -> None:
        self._pieces = iter(pieces)
        self.all = threading.Event()

    def __iter__(self) -> Sent:
        return self

    def __next__(self) -> bytes:
        return json.dumps(next(self._pieces)).encode() + b"\n"

    def close(self) -> None:
        """The server calls it at the end."""
        self.all.set()


def test_a_stream_is_broken_while_its_end_is_read(
    sandbox: Sandbox, instead: dict[str, Any], received: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer is whole, so that the pool takes its connection back, just after looking for broken ones."""
    answer = Sent(
        {"type": "pty_ready", "session_id": "pty_1"},
        {"type": "pty_data", "data_b64": ""},
        {"type": "pty_exit", "data": 0},
    )
    instead["pty"] = (200, {}, answer)
    go_on, reading = threading.Event(), threading.Event()

    def hold(_: bytes) -> None:
        reading.set()
        go_on.wait(_PATIENCE)

    terminal = sandbox.pty.create(cmd="true", on_data=hold)
    assert sandbox.run_code("").exit_code == 0  # over a second connection, which is kept
    assert answer.all.wait(_PATIENCE)
    assert reading.wait(_PATIENCE)
    terminal.close()

    pool: Any = sandbox._shared_client.client._http._transport._pool  # type: ignore[attr-defined]

    def looked_at(one: Any) -> bool:
        monkeypatch.setattr(podflare.transport.network, "is_readable", is_readable)
        go_on.set()
        _wait(lambda: all(connection.is_idle() for connection in pool.connections))
        return is_readable(one)

    monkeypatch.setattr(podflare.transport.network, "is_readable", looked_at)
    assert sandbox.run_code("print(1)").stdout == "1"
    ports = [request["port"] for request in received]
    assert ports[-1] == ports[-2] != ports[-3]


def test_a_stream_is_closed_when_its_connection_is_another_calls(
    sandbox: Sandbox, instead: dict[str, Any], received: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = sandbox._shared_client.client
    instead["exec"] = (200, {}, [b'{"type":"stdout","data":"a","seq":0,"ts":0}\n'])
    stream = client.exec_stream(sandbox.id, "")
    assert next(stream).data == "a"
    closed = threading.Event()
    running: list[Any] = []

    def late() -> Iterator[bytes]:
        closed.wait(_PATIENCE)
        yield _EXIT

    def end(_: LineReader[Any]) -> list[Any]:
        # The answer has been read, and its connection is back in the pool.
        monkeypatch.setattr(LineReader, "end", ending)
        before = len(received)
        instead["exec"] = (200, {}, late())
        running.append(pool.submit(client.exec_stream(sandbox.id, "").__next__))
        _wait(lambda: len(received) > before)
        stream.close()
        closed.set()
        return []

    ending = LineReader.end
    monkeypatch.setattr(LineReader, "end", end)
    with ThreadPoolExecutor() as pool:
        with pytest.raises(ExecTimeoutError):
            next(stream)
        assert running[0].result(_PATIENCE).type == "exit"
    assert received[-1]["port"] == received[-2]["port"]


@pytest.fixture
def leaving() -> Iterator[tuple[str, threading.Event]]:
    """A server that closes its first connection when told to: its URL, and the event that tells it."""
    told = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):  # the test has ended
            for kept in (True, False):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    if kept:
                        told.wait(_PATIENCE)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}", told
    told.set()
    listening.shutdown(socket.SHUT_RDWR)
    thread.join()
    listening.close()


@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_the_server_closes_a_kept_connection_at_the_moment_of_the_next_call(
    leaving: tuple[str, threading.Event], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, told = leaving

    def looked_at(one: Any) -> bool:
        found = is_readable(one)
        told.set()
        _wait(lambda: is_readable(one))
        return found

    async def run() -> None:
        async with AsyncClient(url) as client:
            assert await client.healthz()
            monkeypatch.setattr(podflare.aio.transport.network, "is_readable", looked_at)
            assert await client.healthz()

    if kind == "async":
        asyncio.run(run())
        return
    with Client(url) as client:
        assert client.healthz()
        monkeypatch.setattr(podflare.transport.network, "is_readable", looked_at)
        assert client.healthz()
