"""The emulator's clock, for a test to move."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from podflare_emulator.vocabulary.arguments import is_seconds
from podflare_emulator.vocabulary.errors import EmulatorError


class Clock:
    """The clock for lifetimes, idle limits, retries of webhooks, delays of stubs, latencies and time stamps.

        emulator.clock.advance(3600)

    It does not affect code inside a sandbox: `time.time()` and `time.sleep` there use the machine's clock.
    """

    def __init__(self, call: Callable[..., Any], before: Callable[[], None]) -> None:
        """`before` is called before the clock is moved."""
        self._call = call
        self._before = before

    def advance(self, seconds: float | timedelta) -> None:
        """Moves it on. Whatever falls due has happened, in order and at its time, when this returns.

        That includes the end of a sandbox and the delivery of a webhook, but not what these cause elsewhere.
        """
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        if not is_seconds(seconds):
            raise EmulatorError(
                f"advance: expected 0 or more seconds, such as 3600, or a timedelta, got {seconds!r}"
            )
        self._before()
        self._call("advance_clock", seconds=seconds)

    def use(self, kind: Literal["real", "manual", "skipping"]) -> None:
        """Sets its kind until the next reset: "real" runs with the machine's; "manual" stands still until advanced.

        "skipping" also stands still, but when a call has to wait, for a stub's delay or a latency, it moves on at once
        to the end of that wait: the call takes time on this clock, but none of the test's.
        """
        self._call("use_clock", kind=kind)

    @property
    def kind(self) -> str:
        kind: str = self._call("clock")["kind"]
        return kind

    @property
    def now_ms(self) -> int:
        """The time in ms since the epoch, as in events and in the journal."""
        now: int = self._call("clock")["now"]
        return now

    @property
    def now(self) -> datetime:
        """The same time in UTC."""
        return datetime.fromtimestamp(self.now_ms / 1000, timezone.utc)
