"""Stopping needs nothing of the server: also of one that has not answered yet, or never will."""

import asyncio
import math
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from podflare import (
    AsyncSandbox,
    Client,
    ExecTimeoutError,
    InvalidArgumentError,
    NotFoundError,
    Sandbox,
    SandboxClosedError,
)
from podflare.transport import transfer

_LIMIT = 0.5  # seconds; on a busy machine too the server has been called by then


@pytest.fixture
def silent() -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """A server that reads and never answers: its URL, that it was asked, and that the connection was broken."""
    asked, broken = threading.Event(), threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            while connection.recv(65536):
                asked.set()
            broken.set()

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked, broken
    thread.join()
    listening.close()


def test_a_time_limit(silent: Any) -> None:
    url, _, broken = silent
    with Sandbox.connect("sbx_0", host=url) as sandbox, pytest.raises(ExecTimeoutError, match=r"within 0\.5"):
        sandbox.run_code("", timeout=_LIMIT)
    assert broken.wait(60)


def test_interrupt(silent: Any) -> None:
    url, asked, broken = silent
    with Sandbox.connect("sbx_0", host=url) as sandbox, ThreadPoolExecutor() as pool:
        running = pool.submit(sandbox.run_code, "")
        assert asked.wait(60)
        sandbox.interrupt()
        with pytest.raises(ExecTimeoutError, match="interrupt"):
            running.result(60)
    assert broken.wait(60)


def test_interrupt_of_an_async_call_from_another_thread(silent: Any) -> None:
    url, asked, broken = silent

    async def run() -> None:
        async with AsyncSandbox.connect("sbx_0", host=url) as sandbox:
            running = asyncio.ensure_future(sandbox.run_code(""))
            assert await asyncio.to_thread(asked.wait, 60)
            await asyncio.to_thread(sandbox.interrupt)
            with pytest.raises(ExecTimeoutError, match="interrupt"):
                await running

    asyncio.run(run())
    assert broken.wait(60)


def test_a_cancelled_await(silent: Any) -> None:
    url, _, broken = silent

    async def run() -> None:
        async with AsyncSandbox.connect("sbx_0", host=url) as sandbox:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(sandbox.run_code(""), _LIMIT)

    asyncio.run(run())
    assert broken.wait(60)


def test_a_stop_after_the_end_stops_nothing(sandbox: Sandbox) -> None:
    """Its connection may be another exec's by then."""
    with Client(sandbox._shared_client.client.host) as client:
        one, other = (Sandbox.connect(sandbox.id, client=client) for _ in range(2))
        events = one.run_code_stream("print(1)")
        assert [event.type for event in (next(events), next(events))] == ["stdout", "exit"]
        one.interrupt()
        assert list(events) == []
        assert other.run_code("print(2)", timeout=60).stdout == "2"
        events.close()
        assert other.run_code("print(3)").stdout == "3"


def test_a_connection_that_breaks_by_itself_is_no_timeout(
    sandbox: Sandbox, events_of_exec: Callable[..., None]
) -> None:
    events_of_exec(("stdout", "a"))
    with pytest.raises(Exception, match="without an exit event") as caught:
        sandbox.run_code("", timeout=60)
    assert not isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "1"])
def test_a_time_limit_is_a_positive_number(sandbox: Sandbox, timeout: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="timeout must be a positive number of seconds"):
        sandbox.run_code("", timeout=timeout)


@pytest.mark.parametrize("timeout", [math.inf, 1e20, 10**7])
def test_a_time_limit_longer_than_a_socket_can_wait_is_none(sandbox: Sandbox, timeout: float) -> None:
    assert sandbox.run_code("print(1)", timeout=timeout).stdout == "1"


def test_the_error_survives_a_pickle() -> None:
    error = pickle.loads(pickle.dumps(ExecTimeoutError("why", "out", "err")))
    assert (str(error), error.stdout, error.stderr) == ("why", "out", "err")


def _error_of(call: Callable[[], object]) -> BaseException | None:
    """What it raises, within a minute: in a thread, so that a call that waits for ever fails the test."""
    errors: list[BaseException | None] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)
        else:
            errors.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert errors, "the call goes on"
    return errors[0]


def test_an_upload_that_is_stopped_does_not_wait_for_a_busy_sandbox(
    silent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, asked, broken = silent
    monkeypatch.setattr(transfer, "CLEANING", 0.1)
    with Sandbox.connect("sbx_0", host=url) as sandbox:

        def stop() -> None:
            assert asked.wait(60)
            sandbox.interrupt()

        threading.Thread(target=stop, daemon=True).start()
        assert isinstance(_error_of(lambda: sandbox.upload(bytes(3 << 20), "/f")), ExecTimeoutError)
    assert broken.wait(60)


@pytest.mark.parametrize("error", [KeyboardInterrupt, NotFoundError])
def test_a_diff_that_ends_on_one_side_stops_the_other(
    silent: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, instead: dict[str, Any], error: Any
) -> None:
    url, asked, broken = silent

    def interrupted(*_: object) -> None:
        assert asked.wait(60)
        raise KeyboardInterrupt

    if error is KeyboardInterrupt:
        monkeypatch.setattr(sandbox, "_run_until", interrupted)
    else:
        instead["exec"] = (404, {}, [b'{"error": "sandbox not found"}'])
    with Sandbox.connect("sbx_0", host=url) as other:
        assert isinstance(_error_of(lambda: sandbox.diff(other)), error)
        if error is NotFoundError:
            assert isinstance(_error_of(lambda: other.diff(sandbox)), error)
    assert broken.wait(60)


def test_a_handler_of_a_signal_may_close_what_is_being_closed(host: str) -> None:
    sandbox = Sandbox(host=host)
    with sandbox._lock:  # as in the middle of a call of this thread
        assert sandbox._lock.acquire(blocking=False)
        sandbox._lock.release()
        sandbox.close()
    with pytest.raises(SandboxClosedError):
        sandbox.run_code("")
