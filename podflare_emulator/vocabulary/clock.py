"""An emulator's clock: the machine's, or one that the test moves."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from podflare_emulator.vocabulary.settings import ClockKind

_PATIENCE = (
    5.0  # real seconds that a move waits for the work it triggers, which may in turn wait for the mover
)
_TURNS = 5  # of the loop, in which woken tasks continue and set their next timers
_EARLY = 0.002  # seconds by which a loop may wake early


class Timer:
    """An action for a point in time, unless it is cancelled."""

    __slots__ = ("_number", "action", "due")

    def __init__(self, due: float, number: int, action: Callable[[], Awaitable[None] | None]) -> None:
        self.due = due
        self.action: Callable[[], Awaitable[None] | None] | None = action
        self._number = number

    def cancel(self) -> None:
        self.action = None

    def __lt__(self, other: Timer) -> bool:
        return (self.due, self._number) < (other.due, other._number)


class Clock:
    """`time` is in seconds, and only differences are meaningful; `now` is in ms since the epoch.

    kind: "real" runs with the machine's; "manual" stands still; "skipping" also stands still, but when a call waits, it
    moves on at once to the end of that wait. `advance` moves any of them. None of this moves time inside a sandbox.

    Create it on the loop that uses it. Waits in the machine's time use the loop's clock, which no test stops.
    """

    def __init__(self, kind: ClockKind = "real") -> None:
        self._loop = asyncio.get_running_loop()
        self._timers: list[Timer] = []
        self._cancelled_at_least = 64  # with more timers than this, removes the cancelled ones
        self._numbers = itertools.count()
        self._waking: asyncio.TimerHandle | None = None
        self._under_way: set[asyncio.Future[None]] = set()
        self._late: set[asyncio.Future[None]] = set()  # no move waits for these again
        self._moving = asyncio.Lock()
        self.kind: ClockKind = kind
        self.use(kind)

    def use(self, kind: ClockKind) -> None:
        """Switches to this kind of clock, and back to the machine's time, however far it was moved before."""
        self.kind = kind
        self._ahead = 0.0
        self._stopped = None if kind == "real" else (self._loop.time(), machine_now())
        self._wake()

    async def restart(self, kind: ClockKind) -> None:
        """As `use`, once no move is in progress."""
        async with self._moving:
            self.use(kind)

    def time(self) -> float:
        return (self._loop.time() if self._stopped is None else self._stopped[0]) + self._ahead

    def now(self) -> int:
        return (machine_now() if self._stopped is None else self._stopped[1]) + round(self._ahead * 1000)

    def call_at(self, due: float, action: Callable[[], Awaitable[None] | None]) -> Timer:
        """Calls `action` when the clock reaches that time. `advance` waits for the awaitable it returns, if any."""
        timer = Timer(due, next(self._numbers), action)
        heapq.heappush(self._timers, timer)
        if len(self._timers) > self._cancelled_at_least:
            self._timers = [timer for timer in self._timers if timer.action]
            heapq.heapify(self._timers)
            self._cancelled_at_least = 64 + 2 * len(self._timers)
        if self._timers[0] is timer:
            self._wake()
        return timer

    async def wait(self, futures: Iterable[asyncio.Future[Any]], until: float) -> None:
        """Makes a call wait until one of the futures is done, or until that time."""
        if until <= self.time():
            return
        if self.kind == "skipping":
            await self._move_to(until)
            return
        due: asyncio.Future[None] = self._loop.create_future()
        timer = self.call_at(until, lambda: None if due.done() else due.set_result(None))
        try:
            await asyncio.wait([*futures, due], return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            due.cancel()

    async def advance(self, seconds: float) -> None:
        """Moves the clock on; whatever falls due has happened, in order and at its time, when this returns."""
        await self._move_to(self.time() + seconds)

    def attend(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` in the background. A move waits for it before it continues, though not for ever."""
        # A request may have caused this, but it is not part of it: its log lines must not carry its trace.
        task: asyncio.Future[None] = contextvars.Context().run(self._loop.create_task, work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        task.add_done_callback(self._late.discard)

    async def close(self) -> None:
        """Cancels all timers and background work."""
        self._timers.clear()
        self._wake()
        under_way = [*self._under_way, *self._late]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _move_to(self, end: float) -> None:
        async with self._moving:
            await self._settle()
            while (timer := self._next()) and timer.due <= end:
                self._ahead += max(0.0, timer.due - self.time())
                self._fire()
                await self._settle()
            self._ahead += max(0.0, end - self.time())
            self._wake()
            await self._settle()

    def _next(self) -> Timer | None:
        while self._timers and self._timers[0].action is None:
            heapq.heappop(self._timers)
        return self._timers[0] if self._timers else None

    def _fire(self) -> None:
        action = heapq.heappop(self._timers).action
        if action and (work := action()):
            self.attend(_awaited(work))

    async def _settle(self) -> None:
        for _ in range(_TURNS):
            turn = self._loop.create_future()  # not `asyncio.sleep`, which a test may have replaced
            self._loop.call_soon(turn.set_result, None)
            await turn
        if self._under_way:
            _, late = await asyncio.wait([*self._under_way], timeout=_PATIENCE)
            self._under_way -= late  # so that the next step does not wait for them again
            self._late |= late

    def _wake(self) -> None:
        """Sets the loop's timer to the next action."""
        if self._waking:
            self._waking.cancel()
            self._waking = None
        timer = self._next()
        if timer and self._stopped is None:
            self._waking = contextvars.Context().run(
                self._loop.call_at, timer.due - self._ahead, self._on_time
            )

    def _on_time(self) -> None:
        while (timer := self._next()) and timer.due <= self.time() + _EARLY:
            self._fire()
        self._wake()


async def _awaited(work: Awaitable[None]) -> None:
    await work


def machine_now() -> int:
    """The machine's time in ms since the epoch."""
    return time.time_ns() // 1_000_000
