"""Jails made ahead of demand: a sandbox's directory, ready to be entered."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from podflare_emulator.guest.protocol import Message
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.network import Network
from podflare_emulator.hosting.pause import Pause

_AFTER = 0.004  # seconds: lets the caller that took jails continue before the next ones are made


class Keeper(Protocol):
    """What a jail asks of its maker."""

    async def branch(self, parent: str, children: Sequence[str], *, freeze: bool) -> Branch: ...

    def stay(self, parent: str) -> None: ...

    async def copy(self, parent: str, children: Sequence[str], order: Message) -> Message: ...

    def remove(self, name: str, left: bool) -> None: ...


class Branch(Struct, frozen=True):
    """New trees for a fork; see guest/jail/namespace/layers.py.

    `depth`: how many layers they share. `descriptors`: two for each jail that has a new one, the parent first.
    """

    depth: int
    descriptors: list[int]


class Jail:
    """One jail. Its owner must give its entrance away, and let go of it in the end.

    `hidden`: its path on the host, if processes in it can see that; `network`: its own, None for the machine's.
    `is_awaited`: a caller has taken it, and waits for a guest in it.
    """

    def __init__(
        self,
        name: str,
        ticket: Message,
        entrance: Sequence[int],
        hidden: bytes,
        keeper: Keeper,
        *,
        settles_in: float,
        network: Network | None = None,
    ) -> None:
        self.name = name
        self.network = network
        self.ticket = ticket
        self.hidden = hidden
        self.is_awaited = False
        # From then on, a change in it is distinguishable from what was there before.
        self.settled_at = asyncio.get_running_loop().time() + settles_in
        self._entrance = tuple(entrance)
        self._keeper = keeper

    def give_entrance(self) -> tuple[int, ...]:
        """The descriptors to send to the process that enters, if the backend has any."""
        entrance, self._entrance = self._entrance, ()
        return (*entrance, *(self.network.give_entrance() if self.network else ()))

    def let_go(self, *, left: bool = False) -> None:
        """Nobody needs it now. `left`: everything in it has ended, so its directory may be used again."""
        self.is_awaited = False
        for number in self.give_entrance():
            os.close(number)
        self._keeper.remove(self.name, left)
        if self.network:
            self.network.release(left=left)

    async def branch(self, children: Iterable[Jail], *, freeze: bool) -> Branch:
        """Trees for children that share this jail's layers; raises HostingError if that is impossible.

        `freeze`: this jail must move to a new tree as well; call `stay` if it does not.
        """
        return await self._keeper.branch(self.name, [child.name for child in children], freeze=freeze)

    async def copy(self, children: Iterable[Jail], order: Message) -> Message:
        """Has the keeper copy this jail's tree into those of children; returns its `problems`. Raises HostingError.

        `order`: as the guest in this jail sent it; see guest/fork/fork.py.
        """
        return await self._keeper.copy(self.name, [child.name for child in children], order)

    def stay(self) -> None:
        """The parent has not moved to its new tree."""
        self._keeper.stay(self.name)


class Jails:
    """A stock of jails, refilled one at a time in the background; it grows when forks ask for more."""

    def __init__(self, make: Callable[[], Awaitable[Jail]], spare: int) -> None:
        self._make = make
        self._spare = spare
        self._stock: deque[Jail] = deque()
        self._awaited: list[Jail] = []
        self._refill: asyncio.Task[None] | None = None
        self._pause = Pause()
        self._taken = 0

    async def take(self, count: int) -> list[Jail]:
        """Takes `count` jails at once; if one cannot be made, takes none and raises HostingError."""
        self._spare = max(self._spare, count + 2)
        self._taken += count
        jails = [self._stock.popleft() for _ in range(min(count, len(self._stock)))]
        try:
            while len(jails) < count:
                jails.append(await self._make())
            self.refill()
            loop = asyncio.get_running_loop()
            remaining = max(jail.settled_at for jail in jails) - loop.time()
            if remaining > 0:
                await asyncio.sleep(remaining)
        except BaseException:
            self._stock.extend(jails)
            raise
        for jail in jails:
            jail.is_awaited = True
        self._awaited += jails
        return jails

    def refill(self) -> None:
        if len(self._stock) < self._taken:
            self._pause.end()
        if self._refill is None or self._refill.done():
            loop = asyncio.get_running_loop()  # the task belongs to no request: it must not carry one's trace
            self._refill = contextvars.Context().run(loop.create_task, self._fill())

    def close(self) -> None:
        if self._refill:
            self._refill.cancel()
        for jail in self._stock:
            for number in jail.give_entrance():
                os.close(number)

    async def _fill(self) -> None:
        await asyncio.sleep(_AFTER)
        # On failure, the next `take` tries again, and reports why.
        with contextlib.suppress(HostingError, OSError):
            while len(self._stock) < self._spare:
                if self._is_awaited():  # leave the processor to the guests that are starting
                    await asyncio.sleep(_AFTER)
                else:
                    if len(self._stock) >= self._taken:
                        await self._pause.wait()
                    self._stock.append(await self._make())

    def _is_awaited(self) -> bool:
        self._awaited = [jail for jail in self._awaited if jail.is_awaited]
        return bool(self._awaited)
