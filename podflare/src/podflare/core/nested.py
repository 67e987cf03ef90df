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

    `with` looks both methods up before it calls one, and what it then calls is the C code of a lock. So a handler of a
    signal that raises, as that of Ctrl-C does, comes before the lock is taken or after it is released. In a method in
    Python it would come in the middle, and leave the lock to nobody.

    Raises:
        NestedCall: On entry, if this thread holds it.
    """

    def __init__(self) -> None:
        self._lock: Any = threading.RLock()

    @property
    def __enter__(self) -> Callable[[], object]:
        if self._lock._is_owned():
            raise NestedCall
        enter: Callable[[], object] = self._lock.__enter__
        return enter

    @property
    def __exit__(self) -> Callable[..., None]:
        leave: Callable[..., None] = self._lock.__exit__
        return leave


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
