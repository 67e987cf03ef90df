"""The emulators that the programs run on, and the line that tells how many of them run on each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from podflare_emulator import Emulator

from ..matrix import BACKENDS, backends
from ..serving import serving

_PROGRAM = re.compile(r"tests/programs/test_programs\.py::test_program\[(\w+)-")


@pytest.fixture(scope="session", params=backends())
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with serving(request.param) as emulator:
        yield emulator


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran, passed = Counter[str](), Counter[str]()
    for outcome in ("passed", "failed", "xfailed"):
        for report in terminalreporter.getreports(outcome):
            if report.when == "call" and (match := _PROGRAM.search(report.nodeid)):
                ran[match[1]] += 1
                passed[match[1]] += outcome == "passed"
    if ran:
        shares = ", ".join(
            f"{backend} {passed[backend]} of {ran[backend]} ({passed[backend] / ran[backend]:.0%})"
            for backend in BACKENDS
            if ran[backend]
        )
        terminalreporter.write_sep("=", "programs of a data-analysis agent that run as they should")
        terminalreporter.write_line(shares)
