"""What the two kinds of the SDK do differently, in pairs of the same shape: `async_NAME` awaits, `NAME` blocks.

The code of the SDK is written with the first of each; the generated code has the second.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import anyio

from podflare.core.interruption import Interruption
from podflare.errors import ExecTimeoutError, InvalidArgumentError

T = TypeVar("T")

AsyncLock = anyio.Lock
Lock = threading.RLock  # a handler of a signal may close what this thread is closing


def async_shield() -> AbstractContextManager[object]:
    """Inside, a cancellation of an enclosing scope of anyio's waits: for what must not be left undone."""
    return anyio.CancelScope(shield=True)


def shield() -> AbstractContextManager[object]:
    """Nothing cancels a thread."""
    return nullcontext()


async def async_together(
    first: Callable[[Interruption], Awaitable[T]], second: Callable[[Interruption], Awaitable[T]]
) -> tuple[T, T]:
    """Both results, at the same time; the first error ends both. Each is given what stops it."""
    results: dict[int, T] = {}
    errors: list[Exception] = []

    async def run(number: int, call: Callable[[Interruption], Awaitable[T]]) -> None:
        try:
            results[number] = await call(Interruption())
        except Exception as error:
            errors.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, 0, first)
        tasks.start_soon(run, 1, second)
    if errors:
        raise errors[0]
    return results[0], results[1]


def together(first: Callable[[Interruption], T], second: Callable[[Interruption], T]) -> tuple[T, T]:
    """Both results, at the same time; the first error ends both. Each is given what stops it."""
    stop_first, stop_second = Interruption(), Interruption()
    results: list[T] = []
    errors: list[BaseException] = []

    def run_second() -> None:
        try:
            results.append(second(stop_second))
        except BaseException as error:
            errors.append(error)
            stop_first.stop("the other call failed")

    thread = threading.Thread(target=run_second, name="podflare-together", daemon=True)
    thread.start()
    try:
        result = first(stop_first)
        thread.join()
    except BaseException as error:
        earlier = errors[:]
        stop_second.stop("the other call failed")
        if earlier and isinstance(error, ExecTimeoutError):
            raise earlier[0] from None
        raise
    if errors:
        raise errors[0]
    return result, results[0]


def async_check_callback(name: str, given: object) -> None:
    """Raises InvalidArgumentError for what cannot be called back."""
    if given is not None and not callable(given):
        raise InvalidArgumentError(f"{name} must be a function, not {given!r}")


def check_callback(name: str, given: object) -> None:
    """Raises InvalidArgumentError for what cannot be called back."""
    async_check_callback(name, given)
    if inspect.iscoroutinefunction(given):
        raise InvalidArgumentError(
            f"{name} must be a plain function: nobody would await {given!r}; an AsyncSandbox does"
        )


async def async_called(callback: Callable[[T], object], value: T) -> None:
    """Call what may be a coroutine function."""
    result = callback(value)
    if inspect.isawaitable(result):
        await result


def called(callback: Callable[[T], object], value: T) -> None:
    """Call it."""
    callback(value)


class AsyncNews:
    """Wakes all that wait for something to become true. `tell` is called by the task that makes it so."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def tell(self) -> None:
        event, self._event = self._event, anyio.Event()
        event.set()

    async def wait_for(self, true: Callable[[], bool], timeout: float | None) -> bool:
        """Whether it became true within so many seconds."""
        with anyio.move_on_after(timeout):
            while not true():
                await self._event.wait()
        return true()


class News:
    """Wakes all that wait for something to become true. Any thread may make it so, and call `tell`."""

    def __init__(self) -> None:
        self._condition = threading.Condition()

    def tell(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def wait_for(self, true: Callable[[], bool], timeout: float | None) -> bool:
        """Whether it became true within so many seconds."""
        with self._condition:
            return self._condition.wait_for(true, timeout)


_tasks: set[asyncio.Task[None]] = set()  # the loop keeps none alive


def async_in_background(run: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    """Run it in a task that nobody awaits. It must raise no Exception."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # the other kind of loop
        import trio

        trio.lowlevel.spawn_system_task(run, name=name)
        return
    task = loop.create_task(run(), name=name)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def in_background(run: Callable[[], None], name: str) -> None:
    """Run it in a thread that nobody waits for."""
    threading.Thread(target=run, name=name, daemon=True).start()
