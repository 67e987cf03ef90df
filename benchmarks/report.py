"""The results as data, and as a page to read."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from measure import Measurement
from perform import Outcome
from prices import PRICES, Price


@dataclass(frozen=True)
class Report:
    """`run`: how it was measured, names and values; `machine`: on what."""

    run: dict[str, str]
    machine: dict[str, str]
    outcomes: list[Outcome]

    @property
    def floor_ms(self) -> float | None:
        """Over the whole run."""
        values = [value for outcome in self.outcomes for value in outcome.floor]
        return statistics.median(values) if values else None

    def measured(self) -> Iterator[tuple[Outcome, Measurement]]:
        for outcome in self.outcomes:
            for measurement in outcome.measurements:
                yield outcome, measurement

    def ratio(self, outcome: Outcome, measurement: Measurement) -> float | None:
        """Of the median to the floor: its own, that at the moment, or that of the run for what has neither."""
        floor = measurement.floor or outcome.floor_ms or self.floor_ms
        return measurement.median / floor if floor and measurement.unit == "ms" else None

    def data(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "machine": self.machine,
            "floor_ms": _rounded(self.floor_ms),
            "prices": [verdict.data() for verdict in self.verdicts()],
            "cases": [
                {
                    "case": outcome.case.name,
                    "subject": outcome.case.subject,
                    "status": outcome.status,
                    "reason": outcome.reason,
                    "seconds": _rounded(outcome.seconds),
                    "floor_ms": _rounded(outcome.floor_ms),
                    "measurements": [self._measurement(outcome, each) for each in outcome.measurements],
                }
                for outcome in self.outcomes
            ],
        }

    def _measurement(self, outcome: Outcome, measurement: Measurement) -> dict[str, Any]:
        return {
            "name": measurement.name,
            "unit": measurement.unit,
            "median": _rounded(measurement.median),
            "p99": _rounded(measurement.p99),
            "least": _rounded(min(measurement.values)),
            "repetitions": len(measurement.values),
            "times_floor": _rounded(self.ratio(outcome, measurement)),
        }

    def verdicts(self) -> list[Verdict]:
        backend = self.run["isolation"]
        return [self._verdict(price) for price in PRICES if backend in price.backends or not price.backends]

    def _verdict(self, price: Price) -> Verdict:
        for outcome, measurement in self.measured():
            if measurement.name == price.measurement:
                in_floors = price.unit == "floor"
                value = self.ratio(outcome, measurement) if in_floors else measurement.median
                if value is not None:
                    return Verdict(price, value, "" if value <= price.limit else price.why_not)
        reasons = [each.reason for each in self.outcomes if each.case.name == price.case and each.reason]
        return Verdict(price, None, ": ".join(["not measured", *reasons]))

    def markdown(self, plot: str | None) -> str:
        parts = [f"# Benchmarks: {self.run['isolation']} isolation\n"]
        parts += [
            _table(("measured", ""), list(self.run.items())),
            _table(("machine", ""), list(self.machine.items())),
        ]
        if self.floor_ms:
            parts.append(
                f"The floor, an empty NDJSON POST on the same server with the same client, took {self.floor_ms:.2f} ms "
                "(median over the run). Ratios are to the floor right before and after each case.\n"
            )
        rows = [verdict.row() for verdict in self.verdicts()]
        parts += ["## Prices\n", _table(("operation", "price", "measured", "", "reason"), rows)]
        if plot:
            parts.append(f"![Medians, as multiples of the floor, and what grows]({plot})\n")
        for subject, outcomes in groupby(self.outcomes, key=lambda outcome: outcome.case.subject):
            parts += [f"## {subject.replace('_', ' ').capitalize()}\n", *self._subject(list(outcomes))]
        return "\n".join(parts)

    def _subject(self, outcomes: list[Outcome]) -> Iterator[str]:
        rows = [
            (each.name, *figures(each), _times(self.ratio(outcome, each)), str(len(each.values)))
            for outcome in outcomes
            for each in outcome.measurements
        ]
        if rows:
            yield _table(("", "median", "p99", "least", "× floor", "repetitions"), rows)
        for outcome in outcomes:
            if outcome.status != "ok":
                yield f"{outcome.case.name} {outcome.status}: {outcome.reason}\n"


@dataclass(frozen=True)
class Verdict:
    """`value`: in the price's unit; None where it was not measured."""

    price: Price
    value: float | None
    reason: str

    @property
    def met(self) -> bool:
        return self.value is not None and self.value <= self.price.limit

    def row(self) -> tuple[str, ...]:
        limit, value = f"≤ {self._in_unit(self.price.limit)}", self._in_unit(self.value)
        verdict = "" if self.value is None else ("met" if self.met else "**not met**")
        return self.price.operation, limit, value, verdict, self.reason

    def data(self) -> dict[str, Any]:
        return {
            "operation": self.price.operation,
            "limit": self.price.limit,
            "unit": self.price.unit,
            "measured": _rounded(self.value),
            "met": self.met,
            "reason": self.reason,
        }

    def _in_unit(self, value: float | None) -> str:
        if value is None:
            return "–"
        return f"{value:.3g} × floor" if self.price.unit == "floor" else f"{value:.3g} {self.price.unit}"


def figures(measurement: Measurement) -> tuple[str, ...]:
    """Median, p99 and the least, with their unit."""
    values = (measurement.median, measurement.p99, min(measurement.values))
    return tuple(_quantity(value, measurement.unit) for value in values)


def _quantity(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:,.3g}" if ratio < 1000 else f"{ratio:,.0f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)
