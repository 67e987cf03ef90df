"""Runs one case within its budget, and survives what goes wrong in it."""

from __future__ import annotations

import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

from bench import Bench, Case, Skipped
from measure import Effort, Measurement
from server import Server

_STARTING = 60  # seconds for the server: it is no part of a case
_CLEANING = 20  # seconds for a case that is over its budget to clean up, and for the server after it


class OverBudget(BaseException):
    """No Exception: the SDK, and cases, carry on after some of those."""


@dataclass(frozen=True)
class Outcome:
    """`floor`: ms, each call right before and after the case; empty for one that measures no calls of the server."""

    case: Case
    status: Literal["ok", "failed", "skipped"]
    reason: str
    seconds: float
    measurements: list[Measurement]
    floor: list[float]

    @property
    def floor_ms(self) -> float | None:
        return statistics.median(self.floor) if self.floor else None


def perform(case: Case, server: Server, effort: Effort) -> Outcome:
    """Afterwards the server has no sandbox; one that may have come to harm has been replaced."""
    bench = Bench(server, effort)
    floor: list[float] = []
    started = time.monotonic()
    status: Literal["ok", "failed", "skipped"] = "ok"
    reason = ""
    try:
        with _budget(_STARTING):
            server.start()
        with _budget(case.seconds):
            if case.on_server:
                floor += bench.floor()
            case.measure(bench)
            if case.on_server:
                server.clean()
                floor += bench.floor()
    except Skipped as skip:
        status, reason = "skipped", str(skip)
    except OverBudget as over:
        status, reason = "failed", str(over)
    except Exception as error:
        status, reason = "failed", _anonymous(f"{type(error).__name__}: {error}")
    if status == "failed":
        try:
            with _budget(_CLEANING):
                server.stop()
        except OverBudget:  # the next case starts another
            reason += "; nor did the server stop in time"
    return Outcome(case, status, reason, time.monotonic() - started, bench.measurements, floor)


@contextmanager
def _budget(seconds: float) -> Iterator[None]:
    """Raises OverBudget inside after `seconds`, and again when cleaning up takes long as well."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise OverBudget(f"it took longer than its {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds, _CLEANING)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _anonymous(text: str) -> str:
    """In one line, and without where on this machine things lie."""
    places = {
        str(Path(__file__).resolve().parent.parent): "<repository>",
        sys.prefix: "<environment>",
        tempfile.gettempdir(): "<temp>",
        os.path.expanduser("~"): "~",
    }
    for path, name in places.items():
        text = text.replace(path, name)
    return " ".join(text.split())[:300]
