"""What stops code: a time limit, `interrupt`, a closed stream, a cancelled await.

The next call finds the sandbox free.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from podflare import AsyncSandbox, Client, ExecTimeoutError, PodflareError, Sandbox

from ..matrix import SLOW
from .printed import printed
from .server import Server

pytestmark = pytest.mark.usefixtures("ours")

SILENT = "import time; time.sleep(1000)"
LIMIT = 2  # seconds; on a busy machine too it has spoken by then
SPEAKING = f"import sys; print('out'); print('err', file=sys.stderr); {SILENT}"


@SLOW
def test_run_code_stops_at_its_time_limit(sandbox: Sandbox) -> None:
    with pytest.raises(ExecTimeoutError, match=f"within {LIMIT} seconds") as caught:
        sandbox.run_code(SPEAKING, timeout=LIMIT)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, PodflareError)
    assert (caught.value.stdout, caught.value.stderr) == ("out", "err")
    assert printed(sandbox, "print('next')") == "next"


@pytest.mark.parametrize(("code", "language"), [("while True: pass", "python"), ("sleep 1000", "bash")])
def test_silent_code_too(sandbox: Sandbox, code: str, language: Any) -> None:
    with pytest.raises(ExecTimeoutError):
        sandbox.run_code(code, language, timeout=0.3)
    assert printed(sandbox, "print('next')") == "next"


def test_bash_too_if_python_ignores_interrupts(sandbox: Sandbox) -> None:
    sandbox.run_code("import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN)")
    with pytest.raises(ExecTimeoutError):
        sandbox.run_code("sleep 20; touch /root/not-reached", "bash", timeout=0.2)
    assert printed(sandbox, "print(os.path.exists('/root/not-reached'))") == "False"


@SLOW
def test_a_flood_too(sandbox: Sandbox) -> None:
    with pytest.raises(ExecTimeoutError) as caught:
        sandbox.run_code("while True: print('more')", timeout=1)
    assert caught.value.stdout.startswith("more\nmore")
    assert printed(sandbox, "print('next')") == "next"


def test_a_stream_stops_at_its_time_limit(sandbox: Sandbox) -> None:
    seen: list[Any] = []
    with pytest.raises(ExecTimeoutError):
        seen.extend(event.data for event in sandbox.run_code_stream(SPEAKING, timeout=0.3))
    assert printed(sandbox, "print('next')") == "next"


def test_code_that_is_in_time_is_not_stopped(sandbox: Sandbox) -> None:
    for number in range(20):
        assert sandbox.run_code(f"print({number})", timeout=60).stdout == str(number)


def test_time_spent_waiting_for_another_exec_counts(sandbox: Sandbox) -> None:
    with sandbox.run_code_stream(SPEAKING) as events:
        next(events)
        with pytest.raises(ExecTimeoutError):
            sandbox.run_code("ran = True", timeout=0.3)
    assert printed(sandbox, "print('ran' in globals())") == "False"


def test_interrupt_from_another_thread(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor() as pool:
        begun = threading.Event()

        def run() -> None:
            with sandbox.run_code_stream(SPEAKING) as events:
                for _ in events:
                    begun.set()

        running = pool.submit(run)
        assert begun.wait(60)
        sandbox.interrupt()
        with pytest.raises(ExecTimeoutError, match="interrupt"):
            running.result(60)
    assert printed(sandbox, "print('next')") == "next"


def test_interrupt_stops_what_waits_for_its_turn_and_nothing_of_another_handle(
    sandbox: Sandbox, client: Client
) -> None:
    other = Sandbox.connect(sandbox.id, client=client)
    with ThreadPoolExecutor() as pool:
        blocked = other.run_code_stream(SPEAKING)
        next(blocked)
        waiting = pool.submit(sandbox.run_code, "ran = True")
        while not sandbox._running:
            pass
        sandbox.interrupt()
        with pytest.raises(ExecTimeoutError):
            waiting.result(60)
        assert next(blocked).data == "err"
        blocked.close()
    assert printed(sandbox, "print('ran' in globals())") == "False"


def test_interrupt_without_a_call_does_nothing(sandbox: Sandbox) -> None:
    sandbox.interrupt()
    assert printed(sandbox, "print('next')") == "next"
    sandbox.interrupt()
    assert printed(sandbox, "print('next')") == "next"


def test_a_stream_may_be_closed_from_another_thread(sandbox: Sandbox) -> None:
    events = sandbox.run_code_stream(SPEAKING)
    next(events), next(events)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(next, events)
        while not events._waiting:
            pass
        events.close()
        with pytest.raises(ExecTimeoutError, match="closed"):
            waiting.result(60)
    assert list(events) == []
    assert printed(sandbox, "print('next')") == "next"


# The same from an event loop


@pytest.fixture
def in_loop(server: Server) -> Callable[[Callable[[AsyncSandbox], Awaitable[Any]]], Any]:
    """Runs a coroutine function with an async sandbox."""

    def run(use: Callable[[AsyncSandbox], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            async with AsyncSandbox(host=server.url, api_key=server.api_key) as sandbox:
                await use(sandbox)
                assert (await sandbox.run_code("print('next')")).stdout == "next"

        return asyncio.run(main())

    return run


@SLOW
def test_async_time_limit(in_loop: Callable[..., None]) -> None:
    async def use(sandbox: AsyncSandbox) -> None:
        with pytest.raises(ExecTimeoutError) as caught:
            await sandbox.run_code(SPEAKING, timeout=LIMIT)
        assert (caught.value.stdout, caught.value.stderr) == ("out", "err")

    in_loop(use)


def test_async_interrupt(in_loop: Callable[..., None]) -> None:
    async def use(sandbox: AsyncSandbox) -> None:
        running = asyncio.create_task(sandbox.run_code(SILENT))
        while not sandbox._running:
            await asyncio.sleep(0)
        sandbox.interrupt()
        with pytest.raises(ExecTimeoutError):
            await running

    in_loop(use)


def test_async_interrupt_from_another_thread(in_loop: Callable[..., None]) -> None:
    async def use(sandbox: AsyncSandbox) -> None:
        events = sandbox.run_code_stream(SPEAKING)
        await anext(events), await anext(events)
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.to_thread(sandbox.interrupt)
        with pytest.raises(ExecTimeoutError):
            await waiting

    in_loop(use)


@pytest.mark.parametrize("code", [SILENT, SPEAKING, "while True: print('more')"])
def test_a_cancelled_await(in_loop: Callable[..., None], code: str) -> None:
    async def use(sandbox: AsyncSandbox) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(sandbox.run_code(code), 0.3)

    in_loop(use)


def test_a_cancelled_scope(in_loop: Callable[..., None]) -> None:
    async def use(sandbox: AsyncSandbox) -> None:
        with anyio.move_on_after(0.3) as scope:
            await sandbox.run_code(SPEAKING)
        assert scope.cancelled_caught

    in_loop(use)


def test_a_closed_async_stream(in_loop: Callable[..., None]) -> None:
    async def use(sandbox: AsyncSandbox) -> None:
        async with sandbox.run_code_stream(SPEAKING) as events:
            await anext(events)

    in_loop(use)


def test_an_async_stream_closed_by_another_task(in_loop: Callable[..., None]) -> None:
    async def use(sandbox: AsyncSandbox) -> None:
        events = sandbox.run_code_stream(SPEAKING)
        await anext(events), await anext(events)
        waiting = asyncio.ensure_future(anext(events))
        while not events._waiting:
            await asyncio.sleep(0)
        await events.aclose()
        with pytest.raises(ExecTimeoutError):
            await waiting

    in_loop(use)
