"""A client that a sandbox shares with its forks."""

from __future__ import annotations

import threading

from podflare.aio.client import AsyncClient


class AsyncSharedClient:
    """Counts the sandboxes, and the calls in progress, that need a client; the last to let go closes it.

    A client that the user brought (not owned) is never closed here.
    """

    def __init__(self, client: AsyncClient, *, owned: bool) -> None:
        self.client = client
        self._owned = owned
        self._holders = 1
        # A finalizer may let go in the middle of these methods.
        self._lock = threading.RLock()

    def hold(self) -> None:
        with self._lock:
            self._holders += 1

    async def let_go(self) -> None:
        with self._lock:
            self._holders -= 1
            unused = self._holders == 0
        if unused and self._owned:
            await self.client.close()
