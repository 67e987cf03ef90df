"""What a terminal prints, read as it comes, and how its program ended."""

from __future__ import annotations

import base64
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from contextvars import ContextVar
from typing import Any

import httpx

from podflare.core.concurrency import AsyncNews, async_called, async_in_background, async_shield
from podflare.core.interruption import Interruption
from podflare.errors import PodflareError, PtyError, PtyTimeoutError
from podflare.types import PtyMessage

KEPT = 1 << 20
"""Bytes that are kept for who iterates; the service keeps as many for who attaches."""

_MOMENT = 1.0  # seconds that a stream has to end by itself

_telling: ContextVar[object] = ContextVar("telling", default=None)
"""The output whose callback runs in this context."""

_log = logging.getLogger(__name__)


class AsyncTerminalOutput:
    """Reads one stream of a terminal in its own thread or task, so that a caller who only waits need not read.

    Args:
        name: What errors call the terminal.
        messages: The stream.
        interruption: What breaks its connection.
        let_go: Called when the stream has ended.
        on_data: Called with each piece of what is printed.
        on_exit: Called with the exit code, after the last piece.
    """

    def __init__(
        self,
        name: str,
        messages: AsyncGenerator[PtyMessage, None],
        interruption: Interruption,
        let_go: Callable[[], Awaitable[None]],
        on_data: Callable[[bytes], object] | None,
        on_exit: Callable[[int], object] | None,
    ) -> None:
        self.exit_code: int | None = None
        self._name = name
        self._messages = messages
        self._interruption = interruption
        self._let_go = let_go
        self._on_data = on_data
        self._on_exit = on_exit
        self._pieces: deque[bytes] = deque()
        self._size = 0
        # Everything has arrived; only then is the connection given back.
        self._over = False
        self._done = False
        self._stopped = False
        self._error: Exception | None = None
        # Held for a moment only, never while anything waits.
        self._lock = threading.Lock()
        self._news = AsyncNews()

    def start(self) -> None:
        """From now on it is read."""
        async_in_background(self._read, "podflare-terminal")

    def stop(self) -> None:
        """Stop to read, and to call. May be called from anywhere, the callbacks included; does not wait."""
        self._stopped = True
        self._interruption.stop("the stream of the terminal was closed")

    async def finish(self) -> None:
        """Wait until its stream has ended, as that of a destroyed sandbox does, and break it if it does not."""
        if _telling.get() is self:
            return  # the callback that waits here would wait for itself
        if not await self._news.wait_for(lambda: self._done, _MOMENT):
            self.stop()
            await self._news.wait_for(lambda: self._done, _MOMENT)

    async def wait(self, timeout: float | None) -> int:
        """The exit code, once everything is read and told."""
        if _telling.get() is self and self.exit_code is not None:
            return self.exit_code  # on_exit asks
        over = await self._news.wait_for(lambda: self._over, timeout)
        if self._over and self.exit_code is not None:
            return self.exit_code
        if not over:
            raise PtyTimeoutError(
                f"the program on terminal {self._name} did not end within {timeout} seconds"
            )
        if self._error is None or self._stopped:
            message = f"this handle on terminal {self._name} was closed before its program ended; attach to it again"
            raise PtyError(message)
        raise self._error

    async def take(self) -> bytes:
        """What is printed since the last call; waits for it. Empty at the end."""
        await self._news.wait_for(lambda: self._over or bool(self._pieces), None)
        with self._lock:
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
        if not data and self._error and self.exit_code is None and not self._stopped:
            raise self._error
        return data

    async def _read(self) -> None:
        try:
            async with aclosing(self._messages) as messages:
                # To its end, also when nobody wants to know: `stop` has broken the connection, and an exit is the last.
                async for message in messages:
                    await self._hear(message)
            if self.exit_code is None and not self._stopped:
                self._error = PtyError(f"the stream of terminal {self._name} ended before its program did")
        except PodflareError as error:
            self._error = error
        except (KeyError, TypeError, ValueError) as error:
            self._error = PtyError(f"the server told of terminal {self._name} what is no message: {error!r}")
        finally:
            self._interruption.finish()
            self._end()
            with async_shield(), suppress(PodflareError):
                await self._let_go()
            self._done = True
            self._news.tell()

    def _end(self) -> None:
        self._over = True
        self._news.tell()

    async def _hear(self, message: PtyMessage) -> None:
        if message["type"] == "pty_data":
            await self._hear_data(base64.b64decode(message["data_b64"]))
        elif message["type"] == "pty_exit":
            self._interruption.finish()
            self.exit_code = int(message["data"])
            await self._call(self._on_exit, self.exit_code)
            self._end()
        elif message["type"] == "pty_error":
            raise PtyError(f"terminal {self._name}: {message.get('message')}")

    async def _hear_data(self, data: bytes) -> None:
        with self._lock:
            self._pieces.append(data)
            self._size += len(data)
            while self._size > KEPT and len(self._pieces) > 1:
                self._size -= len(self._pieces.popleft())
        self._news.tell()
        await self._call(self._on_data, data)

    async def _call(self, callback: Callable[[Any], object] | None, value: object) -> None:
        if callback is None or self._stopped:
            return
        token = _telling.set(self)
        try:
            await async_called(callback, value)
        except Exception:
            # The program goes on, and so do those that wait for it.
            _log.exception("a callback of terminal %s failed", self._name)
        finally:
            _telling.reset(token)


async def first_word(messages: AsyncGenerator[PtyMessage, None]) -> str:
    """The id of a terminal that is being made."""
    async for message in messages:
        if message["type"] == "pty_ready":
            return str(message["session_id"])
        if message["type"] == "pty_error":
            raise PtyError(f"the terminal could not be made: {message.get('message')}")
    raise httpx.RemoteProtocolError("the stream ended before the terminal was ready")
