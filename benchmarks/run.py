"""Measures the emulator as the SDK's user sees it: `python benchmarks/run.py`. See docs/benchmarks.md."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import cases  # noqa: F401 (declares them)
import machine
import plot
from bench import CASES
from measure import FULL, QUICK
from perform import Outcome, perform
from podflare_emulator import EmulatorError
from podflare_emulator.vocabulary.settings import Isolation, SettingsError
from report import Report, figures
from server import Server

_RESULTS = Path(__file__).parent / "results"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 1 when a case has failed, or nothing can be measured."""
    arguments = _parser().parse_args(argv)
    effort = QUICK if arguments.quick else FULL
    if arguments.repetitions:
        effort = replace(effort, repetitions=arguments.repetitions, warm_up=1)
    chosen = [case for case in CASES.values() if case.name in arguments.only or not arguments.only]
    if arguments.quick and not arguments.only:
        chosen = [case for case in chosen if case.quick]
    described = machine.describe()
    server = Server(arguments.isolation, arguments.server)
    outcomes: list[Outcome] = []
    started = time.monotonic()
    try:
        server.start()
        isolation = server.isolation
        for case in chosen:
            outcomes.append(perform(case, server, effort))
            _print(outcomes[-1])
    except (EmulatorError, SettingsError) as error:
        print(f"the emulator cannot start: {error}", file=sys.stderr)
        return 1
    finally:
        server.stop()
    run = {
        "isolation": isolation,
        "server": f"in a {arguments.server}",
        "effort": f"{effort.name}: up to {effort.repetitions} repetitions or {effort.seconds:g} s of each",
        "took": f"{time.monotonic() - started:.0f} s",
    }
    report = Report(run, described, outcomes)
    _print_verdicts(report)
    whole = not arguments.quick and not arguments.only
    if output := arguments.output or (_RESULTS if whole else None):
        _write(report, output, isolation)
    return int(any(outcome.status == "failed" for outcome in outcomes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--quick", action="store_true", help="under a minute: few repetitions, without the large cases")
    add("--only", nargs="+", default=[], metavar="CASE", choices=CASES, help=f"of: {', '.join(CASES)}")
    add(
        "--isolation",
        default="auto",
        choices=get_args(Isolation),
        help="as of podflare-emulator (default auto)",
    )
    add("--server", default="thread", choices=("thread", "process"), help="where it runs (default thread)")
    add(
        "--repetitions", type=int, metavar="N", help="at most so many of each operation, after one to warm up"
    )
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="where the results are written; default: beside this file, for a run of all cases that is not quick",
    )
    return parser


def _print(outcome: Outcome) -> None:
    for measurement in outcome.measurements:
        floor = measurement.floor or outcome.floor_ms
        median, p99, least = figures(measurement)
        ratio = f"{measurement.median / floor:8.2f} × floor" if floor and measurement.unit == "ms" else ""
        print(f"{measurement.name:55} {median:>12}  p99 {p99:>12}  least {least:>12} {ratio}".rstrip())
    if outcome.status != "ok":
        print(f"{outcome.case.name} {outcome.status}: {outcome.reason}")
    sys.stdout.flush()


def _print_verdicts(report: Report) -> None:
    print()
    for verdict in report.verdicts():
        if verdict.value is not None:
            operation, price, measured, met, reason = verdict.row()
            print(f"{operation:55} {price:>14} {measured:>15}  {met.strip('*')} {reason}".rstrip())


def _write(report: Report, directory: Path, name: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    drawn = plot.draw(report, directory / f"{name}.svg")
    data = json.dumps(report.data(), indent=1, ensure_ascii=False)
    (directory / f"{name}.json").write_text(f"{data}\n", encoding="utf-8")
    page = report.markdown(f"{name}.svg" if drawn else None)
    (directory / f"{name}.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
