"""What a case is given: a server to measure, a stopwatch, and a place for what it measures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import floor
from measure import FULL, Effort, Measurement, Point, Stopwatch, Unit, repeat
from podflare import Client
from server import Server


class Skipped(Exception):
    """The case cannot be measured here; the message says why."""


class Bench:
    def __init__(self, server: Server, effort: Effort) -> None:
        self.effort = effort
        self.measurements: list[Measurement] = []
        self._server = server

    @property
    def full(self) -> bool:
        """Whether there is time for much."""
        return self.effort.name == FULL.name

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def client(self) -> Client:
        """One for all, as a test suite shares one: its connections stay open."""
        return self._server.client

    @property
    def isolation(self) -> str:
        return self._server.isolation

    def expect_forks(self, sandbox_id: str) -> None:
        self._server.expect_forks(sandbox_id)

    def repeat(
        self, name: str, point: Point | None = None, most: int | None = None, floor: float | None = None
    ) -> Iterator[Stopwatch]:
        """A stopwatch a repetition, `most` of them at most; together they are one measurement.

        for stopwatch in bench.repeat("create"):
            with stopwatch:
                sandbox = Sandbox(client=bench.client)
            sandbox.close()
        """
        values: list[float] = []
        effort = self.effort
        if most is not None:
            effort = Effort(
                effort.name, min(most, effort.repetitions), min(1, effort.warm_up), effort.seconds
            )
        yield from repeat(effort, values)
        self.record(name, "ms", values, point, floor)

    def record(
        self,
        name: str,
        unit: Unit,
        values: Sequence[float],
        point: Point | None = None,
        floor: float | None = None,
    ) -> None:
        self.measurements.append(Measurement(name, unit, values, point, floor))

    def floor(self, rest: float = 0) -> list[float]:
        """The floor at this moment, in ms; with a rest, in seconds, before each call."""
        values: list[float] = []
        for stopwatch in repeat(self.effort, values):
            time.sleep(rest)
            with stopwatch:
                floor.call(self.client)
        return values


@dataclass(frozen=True)
class Case:
    """`seconds`: after so many it is given up. `quick`: there is time for it under `--quick`.

    `on_server`: it measures calls of the shared server, and so belongs with the floor of that time.
    """

    name: str
    subject: str
    measure: Callable[[Bench], None]
    seconds: float
    quick: bool
    on_server: bool


CASES: dict[str, Case] = {}


def case(
    *, seconds: float = 60, quick: bool = True, on_server: bool = True
) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    """Makes a function a case, named after it; its file is its subject."""

    def declare(measure: Callable[[Bench], None]) -> Callable[[Bench], None]:
        name = measure.__name__.replace("_", "-")
        subject = measure.__module__.rpartition(".")[2]
        CASES[name] = Case(name, subject, measure, seconds, quick, on_server)
        return measure

    return declare
