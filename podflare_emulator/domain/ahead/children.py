"""Makes children of idle sandboxes ahead of time, so that their next fork need not wait."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import weakref
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from podflare_emulator.domain.forking import Copies, ForkEngine
from podflare_emulator.domain.machine import Machine
from podflare_emulator.domain.sandbox import Sandbox
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guests.guest import Guest

_AFTER = 0.001  # seconds: lets a fork be answered before the next children are made
_KEPT = 2.0  # seconds that several children are kept ready; after that only one is
# Seconds, for all children and for each. A fork that takes longer than both copies much, which is done ahead only for
# those who ask for it.
_QUICK, _QUICK_EACH = 0.05, 0.005

Make = Callable[[int], Coroutine[Any, Any, list[Guest]]]


class ForkAhead:
    """Forks sandboxes by `engine`, and keeps children ready for those that are likely to fork again.

    These are sandboxes that expect forks, and those that have forked twice with nothing in between, if that was quick:
    a test suite may set one up and fork it for each test.

    A ready child equals one made at the moment of the fork: its parent is at rest, and anything that reaches the
    parent discards the child. Until it is handed out it belongs to no sandbox: id, creation time and list entry come
    with its adoption.
    """

    def __init__(self, engine: ForkEngine) -> None:
        self._engine = engine
        self._broods = weakref.WeakKeyDictionary[Machine, _Brood]()  # no brood refers to its machine
        self._one_at_once = asyncio.Lock()
        self._ends: set[asyncio.Task[None]] = set()

    async def fork(self, sandbox: Sandbox, n: int) -> Copies:
        """As `ForkEngine`, for the sandbox's machine. The caller has the sandbox's turn."""
        machine = sandbox.working_machine()
        brood = self._brood(machine)
        make = partial(self._make, sandbox, machine)
        if ready := brood.take(n):
            brood.forked(n, make)
            return Copies(ready, at_rest=True)
        loop = asyncio.get_running_loop()
        began = loop.time()
        copies = await self._engine.fork(machine, n)
        if copies.at_rest:
            brood.forked(n, make, is_quick=loop.time() - began <= max(_QUICK, n * _QUICK_EACH))
        return copies

    def expect(self, sandbox: Sandbox) -> None:
        """From its next fork on, keeps one child ready; raises SandboxNotFound, GuestFailed."""
        machine = sandbox.working_machine()
        if machine.forkable:
            self._brood(machine).is_expected = True

    def _brood(self, machine: Machine) -> _Brood:
        brood = self._broods.get(machine)
        if brood is None:
            brood = self._broods[machine] = _Brood(self._end)
            machine.guest.stirs = brood.discard
        return brood

    async def settle(self) -> None:
        """Returns when no discarded child runs."""
        while self._ends:
            await asyncio.wait(self._ends)

    async def _make(self, sandbox: Sandbox, machine: Machine, n: int) -> list[Guest]:
        """No children if they cannot be made, or would differ from those that are made later."""
        async with self._one_at_once:
            if sandbox.turn.locked():
                return []
            async with sandbox.turn:
                if sandbox.machine is not machine or machine.guest.ended:
                    return []
                try:
                    copies = await self._engine.fork(machine, n)
                except (HostingError, OSError):  # the next fork tries again, and reports why
                    return []
        if copies.at_rest:
            return copies.guests
        for child in copies.guests:
            self._end(child.end())
        return []

    def _end(self, ending: Coroutine[Any, Any, None]) -> None:
        task = _start(ending)
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)


class _Brood:
    """One machine's ready children, or those that are being made."""

    def __init__(self, end: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self.is_expected = False
        self._end = end
        self._ready: list[Guest] = []
        self._making: asyncio.Task[None] | None = None
        self._reducing: asyncio.TimerHandle | None = None
        self._has_forked = False  # and nothing has reached the machine since

    def take(self, n: int) -> list[Guest]:
        """As many children, or none."""
        for child in [child for child in self._ready if not child.lives]:
            self._ready.remove(child)
            self._end(child.end())
        taken = self._ready[:n] if len(self._ready) >= n else []
        del self._ready[: len(taken)]
        return taken

    def forked(self, n: int, make: Make, *, is_quick: bool = True) -> None:
        """The machine has made `n` children, and is at rest; `make` makes more."""
        wanted = n if self._has_forked and is_quick else int(self.is_expected)
        self._has_forked = True
        if len(self._ready) < wanted and (self._making is None or self._making.done()):
            self._making = _start(self._fill(wanted, make))

    def discard(self) -> None:
        """Something reaches the parent: children made before that would differ from those made after it."""
        self._has_forked = False
        making, self._making = self._making, None
        if making and not making.done():
            making.cancel()
            self._end(_over(making))
        self._keep(0)

    async def _fill(self, wanted: int, make: Make) -> None:
        await asyncio.sleep(_AFTER)
        self._ready += await make(wanted - len(self._ready))
        if self._reducing:
            self._reducing.cancel()
        self._reducing = asyncio.get_running_loop().call_later(_KEPT, self._keep, 1)

    def _keep(self, most: int) -> None:
        """Ends the ready children but these."""
        for child in self._ready[most:]:
            self._end(child.end())
        del self._ready[most:]


def _start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Starts a task that belongs to no request, and must not carry one's trace."""
    return contextvars.Context().run(asyncio.get_running_loop().create_task, work)


async def _over(cancelled: asyncio.Task[None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await cancelled
