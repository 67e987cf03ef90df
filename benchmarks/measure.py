"""Measurements: an operation done many times, and what its times say."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

Unit = Literal["ms", "ms CPU", "MB", "1/s"]
Point = tuple[str, int]
"""A place in a series, for the plot: the series' name, and the number that grows along it."""


@dataclass(frozen=True)
class Measurement:
    """`values`: one a repetition, in `unit`, in the order they were taken.

    `floor`: in ms, what it is to be compared to if that is not the floor of its case.
    """

    name: str
    unit: Unit
    values: Sequence[float]
    point: Point | None = None
    floor: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p99(self) -> float:
        """The smallest value that 99 in 100 do not exceed; of fewer than 100 values, the largest."""
        return sorted(self.values)[math.ceil(len(self.values) * 0.99) - 1]


@dataclass(frozen=True)
class Effort:
    """How much is measured: `repetitions` of each operation after `warm_up`, or as many as fit into `seconds`."""

    name: str
    repetitions: int
    warm_up: int
    seconds: float


FULL = Effort("full", repetitions=500, warm_up=20, seconds=6)
QUICK = Effort("quick", repetitions=30, warm_up=3, seconds=0.4)


class Stopwatch:
    """Times what is done inside it."""

    milliseconds: float

    def __enter__(self) -> None:
        self._started = time.perf_counter_ns()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.milliseconds = (time.perf_counter_ns() - self._started) / 1e6


def repeat(effort: Effort, values: list[float]) -> Iterator[Stopwatch]:
    """Yields a stopwatch a repetition and collects its milliseconds; what is done outside of it does not count.

    Measures at least once, however long that takes; an operation that takes long gets no warm-up.
    """
    watch = Stopwatch()
    started = time.monotonic()
    warm_up = effort.warm_up
    while len(values) < effort.repetitions and (not values or time.monotonic() < started + effort.seconds):
        yield watch
        if warm_up and time.monotonic() < started + effort.seconds / 4:
            warm_up -= 1
        else:
            warm_up = 0
            values.append(watch.milliseconds)
