"""Stopping an exec: break its connection, which tells the server to interrupt the code.

Nothing else is sent, so that it works on every server that honours a client that has gone.
"""

from __future__ import annotations

import _socket
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import httpx

from podflare.core.seconds import limit
from podflare.errors import ExecTimeoutError

sending: ContextVar[Interruption | None] = ContextVar("sending", default=None)
"""Of the exec whose request is being sent in this context: the connection that it takes tells it its socket."""


class Interruption:
    """Of one exec: whether it shall stop, and by when. Any thread may stop it.

    Args:
        timeout: Seconds from `begin` after which it shall stop; None for no limit.

    Raises:
        ValueError: If the timeout is not a positive number.
    """

    def __init__(self, timeout: float | None = None) -> None:
        self._timeout = limit("timeout", timeout)
        self._deadline: float | None = None
        self._reason: str | None = None
        self._socket: Any = None
        self._finished = False
        # A handler of a signal may stop an exec in the middle of these methods.
        self._lock = threading.RLock()

    def begin(self) -> None:
        """The time starts to count."""
        if self._timeout is not None:
            self._deadline = time.monotonic() + self._timeout

    def go_on(self) -> None:
        """It may take as long as it likes from now on; `stop` still stops it."""
        self._deadline = None

    def take(self, socket: Any) -> None:
        """The exec runs over this socket, of any kind that has a file descriptor."""
        with self._lock:
            self._socket = socket
            if self._reason is not None:
                _break(socket)

    def let_go(self, socket: Any) -> None:
        """This connection is another call's."""
        with self._lock:
            if self._socket is socket:
                self._socket = None

    def stop(self, reason: str) -> None:
        """Break the connection, unless the code has ended already."""
        with self._lock:
            if self._finished or self._reason is not None:
                return
            self._reason = reason
            if self._socket is not None:
                _break(self._socket)

    def finish(self) -> None:
        """The code has ended: from now on the connection may be another exec's."""
        with self._lock:
            self._finished = True
            self._deadline = self._socket = None

    def limited(self, timeout: float | None) -> float | None:
        """Seconds for one operation that may take this long by itself. Not positive if the time is over."""
        deadline = self._deadline
        if deadline is None:
            return timeout
        left = deadline - time.monotonic()
        return left if timeout is None else min(timeout, left)

    def explain(self, error: httpx.RequestError) -> ExecTimeoutError | None:
        """What to raise instead of an error of the connection, if it has been stopped."""
        if self._reason is not None:
            return ExecTimeoutError(self._reason)
        left = self.limited(None)
        in_time = left is None or (
            left > 0 and not isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout))
        )
        if in_time:
            return None
        return ExecTimeoutError(
            f"the code was interrupted: it did not finish within {self._timeout:g} seconds"
        )


def _break(socket: Any) -> None:
    # It may be gone already.
    with suppress(OSError):
        if isinstance(socket, _socket.socket):
            # Not ssl's own, which takes the cipher away from a thread that is reading.
            _socket.socket.shutdown(socket, _socket.SHUT_RDWR)
        else:
            # An event loop's, which may not let anybody shut it down.
            same = _socket.socket(fileno=_socket.dup(socket.fileno()))
            try:
                same.shutdown(_socket.SHUT_RDWR)
            finally:
                same.close()
