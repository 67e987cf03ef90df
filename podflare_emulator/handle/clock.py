"""The emulator's clock, as the author of a test moves it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from math import isfinite
from typing import Any, Literal

from podflare_emulator.vocabulary.errors import EmulatorError


class Clock:
    """What an emulator goes by: lifetimes, idle limits, webhooks' retries, delays of stubs, latencies, time stamps.

        emulator.clock.advance(3600)

    It moves nothing inside a sandbox: `time.time()` and `time.sleep` of the code there go by the machine's clock.
    """

    def __init__(self, call: Callable[..., Any], before: Callable[[], None]) -> None:
        """`before` is called before the clock is moved."""
        self._call = call
        self._before = before

    def advance(self, seconds: float | timedelta) -> None:
        """Moves it on. What is due meanwhile has happened, in its order and at its time, when this returns.

        Nothing is waited for but what happens itself: a sandbox's end, a webhook's delivery.
        """
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        if type(seconds) not in (int, float) or not isfinite(seconds):
            raise EmulatorError(f"advance: expected seconds, such as 3600, or a timedelta, got {seconds!r}")
        self._before()
        self._call("advance_clock", seconds=seconds)

    def use(self, kind: Literal["real", "manual", "skipping"]) -> None:
        """Until the next reset: "real" goes on with the machine's; "manual" stands still until it is advanced.

        "skipping" stands still too, but when a call has to wait, for a stub's delay or a latency, it moves on to the
        end of that wait at once: the call takes its time on the clock, and none of the test's.
        """
        self._call("use_clock", kind=kind)

    @property
    def kind(self) -> str:
        kind: str = self._call("clock")["kind"]
        return kind

    @property
    def now_ms(self) -> int:
        """Its time, in ms since the epoch, as in events and in the journal."""
        now: int = self._call("clock")["now"]
        return now

    @property
    def now(self) -> datetime:
        """The same, in UTC."""
        return datetime.fromtimestamp(self.now_ms / 1000, timezone.utc)
