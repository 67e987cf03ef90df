"""Kills an interpreter while it runs code, because a test asks for it; all that follows is as after any death."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guests.guest import Guest
from podflare_emulator.hosting.guests.output import Sink, Stream


class LastWords:
    """Lets this many lines of one exec's output through, and then kills the interpreter; 0: before its code runs.

    Output between the last of them and the kill is dropped, so that a test gets the same events each time. `happens`
    is called when the interpreter is killed.
    """

    def __init__(self, lines: int, happens: Callable[[], None]) -> None:
        self._left = lines
        self._happens = happens

    async def before(self, guest: Guest) -> None:
        """The exec is about to start."""
        if not self._left:
            await self._kill(guest)

    def hear(self, guest: Guest) -> None:
        """The exec has started."""
        if self._left:
            self._guest = guest
            self._sink: Sink = guest.sink
            guest.sink = self._feed

    def _feed(self, stream: Stream, data: bytes) -> None:
        if not self._left:
            return
        lines = data.split(b"\n")  # one more than the number of newlines
        heard = data if len(lines) <= self._left else b"\n".join([*lines[: self._left], b""])
        self._left -= min(self._left, len(lines) - 1)
        self._sink(stream, heard)
        if not self._left:
            self._killing = asyncio.ensure_future(self._kill(self._guest))

    def _kill(self, guest: Guest) -> Coroutine[Any, Any, None]:
        self._happens()
        return _sent(guest.kill())


async def _sent(signal: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(HostingError):  # its init is gone, and the interpreter with it
        await signal
