"""Pauses in work that is ahead of demand."""

from __future__ import annotations

import asyncio
import contextlib

_LATER = 0.1  # seconds


class Pause:
    """Between things made ahead, once there are as many as were taken: a run that needs only one must not pay for all.

    `end` it when there are fewer again.
    """

    def __init__(self) -> None:
        self._over = asyncio.Event()

    def end(self) -> None:
        self._over.set()

    async def wait(self) -> None:
        self._over.clear()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._over.wait(), _LATER)
