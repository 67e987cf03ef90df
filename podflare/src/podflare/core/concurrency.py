"""What the two kinds of the SDK do differently, in pairs of the same shape: `async_NAME` awaits, `NAME` blocks.

The code of the SDK is written with the first of each; the generated code has the second.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import anyio

T = TypeVar("T")

AsyncLock = anyio.Lock
Lock = threading.Lock


def async_shield() -> AbstractContextManager[object]:
    """Inside, a cancellation of an enclosing scope of anyio's waits: for what must not be left undone."""
    return anyio.CancelScope(shield=True)


def shield() -> AbstractContextManager[object]:
    """Nothing cancels a thread."""
    return nullcontext()


async def async_together(
    first: Callable[[], Awaitable[T]], second: Callable[[], Awaitable[T]]
) -> tuple[T, T]:
    """Both results, at the same time; the first error ends both."""
    results: dict[int, T] = {}
    errors: list[Exception] = []

    async def run(number: int, call: Callable[[], Awaitable[T]]) -> None:
        try:
            results[number] = await call()
        except Exception as error:
            errors.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, 0, first)
        tasks.start_soon(run, 1, second)
    if errors:
        raise errors[0]
    return results[0], results[1]


def together(first: Callable[[], T], second: Callable[[], T]) -> tuple[T, T]:
    """Both results, at the same time."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending = pool.submit(second)
        return first(), pending.result()
