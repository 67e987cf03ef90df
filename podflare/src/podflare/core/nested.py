"""A call in the middle of another one of the same thread: a finalizer's, which the garbage collector runs anywhere.

It would wait for ever for the lock of the connection pool, if that is what the other call holds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import httpx


class NestedCall(Exception):
    """This thread holds the lock already."""


class PoolLock:
    """The lock of a connection pool, which is not waited for by the thread that holds it.

    Raises:
        NestedCall: On entry, if that would be so.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._here = threading.local()

    def __enter__(self) -> PoolLock:
        if getattr(self._here, "inside", False):
            raise NestedCall
        self._here.inside = True  # before it is held, so that there is no moment between the two
        try:
            self._lock.acquire()
        except BaseException:
            self._here.inside = False
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        self._here.inside = False


def send_beside(
    connect: Callable[[], httpx.Client], request: httpx.Request, *, stream: bool
) -> httpx.Response:
    """Send a request over its own connections, which are closed with the answer."""
    http = connect()
    try:
        response = http.send(request, stream=stream)
    except BaseException:
        http.close()
        raise
    if not stream:
        http.close()
        return response
    close: Any = response.close

    def close_both() -> None:
        close()
        http.close()

    response.close = close_both  # type: ignore[method-assign]
    return response
