"""The report of a failing test, as the README shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_FAILING = Path(__file__).parent / "failing"


@pytest.mark.slow
def test_the_report_is_what_pytest_says(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_average=(_FAILING / "failing_average.py").read_text(encoding="utf-8"))
    said = _without_chance("\n".join(pytester.runpytest_subprocess().outlines))
    shown = _without_chance((_FAILING / "report.txt").read_text(encoding="utf-8"))
    for part in shown.split("-" * 31):  # what comes between is left out in the README
        assert part.strip("\n") in said


def _without_chance(report: str) -> str:
    lines = (line.rstrip() for line in report.splitlines())
    return re.sub(r"sbx_[0-9a-f]+|\d+ ms", "…", "\n".join(lines))
