"""When a sandbox's time is over: its lifetime has ended, or it has been idle for too long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal

from podflare_emulator.domain.sandbox import Sandbox
from podflare_emulator.vocabulary.clock import Clock, Timer

Over = Literal["timeout", "idle_timeout"]


class Lifetimes:
    """Calls `end` for each sandbox whose time is over. One timer each; an exec only records when it ran."""

    def __init__(self, clock: Clock, end: Callable[[Sandbox, Over], Awaitable[None]]) -> None:
        self._clock = clock
        self._end = end
        self._timers: dict[str, Timer] = {}

    def begin(self, sandbox: Sandbox) -> None:
        """Starts the sandbox's lifetime."""
        self._look_later(sandbox, self._clock.time() + sandbox.span.timeout)

    def forget(self, sandbox_id: str) -> None:
        """The sandbox has ended, or is exempt from its lifetime."""
        timer = self._timers.pop(sandbox_id, None)
        if timer:
            timer.cancel()

    def _look_later(self, sandbox: Sandbox, over: float) -> None:
        due = min(over, sandbox.used + sandbox.span.idle)
        self._timers[sandbox.id] = self._clock.call_at(due, partial(self._look, sandbox, over))

    def _look(self, sandbox: Sandbox, over: float) -> Awaitable[None] | None:
        now = self._clock.time()
        if now >= over:
            return self._end(sandbox, "timeout")
        if sandbox.turn.locked():
            sandbox.use()  # a sandbox that runs code is not idle, however long that takes
        elif now >= sandbox.used + sandbox.span.idle:
            return self._end(sandbox, "idle_timeout")
        self._look_later(sandbox, over)
        return None
