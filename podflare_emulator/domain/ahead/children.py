"""A child of a sandbox made while nothing happens in that, so that the next fork of it has nothing to wait for."""

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

_AFTER = 0.001  # seconds: whoever forked gets its answer before the next child is made


class ForkAhead:
    """The engine of sandboxes of which forks are expected; to others what it is given.

    The child that waits is what one made at the moment of the fork would be: its parent is at rest, and at the first
    thing that reaches it the child is thrown away. Until it is handed out it is nobody's: whatever a sandbox has from
    whoever adopts it, an id, a time, an entry in a list, it gets then.
    """

    def __init__(self, engine: ForkEngine) -> None:
        self._engine = engine
        self._broods = weakref.WeakKeyDictionary[Machine, _Brood]()  # none knows its machine
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
        """From its next fork on there is a child more; raises SandboxNotFound, GuestFailed."""
        machine = sandbox.working_machine()
        if machine.forkable and machine not in self._broods:
            brood = _Brood(lambda: self._make(sandbox), self._end)
            self._broods[machine] = brood
            machine.guest.stirs = brood.discard

    async def settle(self) -> None:
        """Returns when nothing runs of what was thrown away."""
        while self._ends:
            await asyncio.wait(self._ends)

    async def _make(self, sandbox: Sandbox) -> Guest | None:
        """None where the child could be told from one that is made later, or cannot be made."""
        async with self._one_at_once:
            if sandbox.turn.locked():
                return None
            async with sandbox.turn:
                machine = sandbox.machine
                if machine is None or machine.guest.ended:
                    return None
                try:
                    copies = await self._engine.fork(machine, 1)
                except (HostingError, OSError):  # whoever forks next is told why it cannot be
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
    """The child of one machine that waits, if there is one, or the one that is being made."""

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
        """Something reaches the parent: what there is of a child is not like one that is made from now on."""
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
    """Of no request, and so of no request's trace."""
    return contextvars.Context().run(asyncio.get_running_loop().create_task, work)


async def _over(cancelled: asyncio.Task[None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await cancelled
