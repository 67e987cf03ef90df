"""Makes a child of an idle sandbox ahead of time, so that its next fork need not wait."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

from podflare_emulator.domain.forking import Copies, ForkEngine
from podflare_emulator.domain.machine import Machine
from podflare_emulator.domain.sandbox import Sandbox
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guest import Guest

_AFTER = 0.001  # seconds: lets a fork be answered before the next child is made


class ForkAhead:
    """A fork engine that keeps a child ready for each sandbox that expects forks; for others it calls `engine`.

    A ready child equals one made at the moment of the fork: its parent is at rest, and anything that reaches the
    parent discards the child. Until it is handed out it belongs to no sandbox: id, creation time and list entry come
    with its adoption.
    """

    def __init__(self, engine: ForkEngine) -> None:
        self._engine = engine
        self._broods = weakref.WeakKeyDictionary[Machine, _Brood]()  # no brood refers to its machine
        self._one_at_once = asyncio.Lock()
        self._ends: set[asyncio.Task[None]] = set()

    async def fork(self, machine: Machine, n: int) -> Copies:
        brood = self._broods.get(machine)
        if brood is None:
            return await self._engine.fork(machine, n)
        child = brood.take() if n == 1 else None
        copies = Copies([child], at_rest=True) if child else await self._engine.fork(machine, n)
        if copies.at_rest:
            brood.refill()
        return copies

    def expect(self, sandbox: Sandbox) -> None:
        """From its next fork on, keeps one child ready; raises SandboxNotFound, GuestFailed."""
        machine = sandbox.working_machine()
        if machine.forkable and machine not in self._broods:
            brood = _Brood(lambda: self._make(sandbox), self._end)
            self._broods[machine] = brood
            machine.guest.stirs = brood.discard

    async def settle(self) -> None:
        """Returns when no discarded child runs."""
        while self._ends:
            await asyncio.wait(self._ends)

    async def _make(self, sandbox: Sandbox) -> Guest | None:
        """None if the child cannot be made, or would differ from one that is made later."""
        async with self._one_at_once:
            if sandbox.turn.locked():
                return None
            async with sandbox.turn:
                machine = sandbox.machine
                if machine is None or machine.guest.ended:
                    return None
                try:
                    copies = await self._engine.fork(machine, 1)
                except (HostingError, OSError):  # the next fork tries again, and reports why
                    return None
        (child,) = copies.guests
        if copies.at_rest:
            return child
        self._end(child.end())
        return None

    def _end(self, ending: Coroutine[Any, Any, None]) -> None:
        task = _start(ending)
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)


class _Brood:
    """One machine's ready child, or the one that is being made."""

    def __init__(
        self,
        make: Callable[[], Coroutine[Any, Any, Guest | None]],
        end: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._make = make
        self._end = end
        self._child: Guest | None = None
        self._making: asyncio.Task[None] | None = None

    def take(self) -> Guest | None:
        child, self._child = self._child, None
        if child and not child.lives:
            self._end(child.end())
            return None
        return child

    def refill(self) -> None:
        if self._child is None and (self._making is None or self._making.done()):
            self._making = _start(self._fill())

    def discard(self) -> None:
        """Something reaches the parent: a child made before that would differ from one made after it."""
        making, self._making = self._making, None
        if making and not making.done():
            making.cancel()
            self._end(_over(making))
        child, self._child = self._child, None
        if child:
            self._end(child.end())

    async def _fill(self) -> None:
        await asyncio.sleep(_AFTER)
        self._child = await self._make()


def _start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Starts a task that belongs to no request, and must not carry one's trace."""
    return contextvars.Context().run(asyncio.get_running_loop().create_task, work)


async def _over(cancelled: asyncio.Task[None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await cancelled
