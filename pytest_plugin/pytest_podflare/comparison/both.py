"""`@pytest.mark.podflare(target="both")` under `--podflare-url`: a test runs on the emulator and on the real API.

What it sees must be the same: the second of the two to finish fails if it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from podflare_emulator.handle.clients.redirect import import_sdk
from podflare_emulator.handle.clients.watch import sandbox_classes
from pytest_podflare import marker
from pytest_podflare.comparison.observed import Observed, Seen, first_difference

WHERE = ("emulator", "real")

_seen = pytest.StashKey[Callable[[], list[Seen]]]()


@contextmanager
def observing(item: pytest.Item, kept: Collection[str]) -> Iterator[None]:
    """Inside, records what the test sees, except of the sandboxes in `kept`, which outlive it."""
    observed = Observed()
    item.stash[_seen] = lambda: observed.seen(kept)
    with observed.recording(*sandbox_classes(import_sdk())):
        yield


class Both:
    """Registered if there is a real API.

    Args:
        url: The URL of the real API.
        compares: Whether this process gets all reports; a worker of xdist does not.
    """

    def __init__(self, url: str, *, compares: bool) -> None:
        self._names = {"emulator": "the emulator", "real": url}
        self._compares = compares
        self._waiting: dict[str, pytest.TestReport] = {}

    @pytest.hookimpl(trylast=True)  # so that a test's own parameters come first in its id
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if marker.FIXTURE in metafunc.fixturenames and marker.target(metafunc.definition) == "both":
            metafunc.parametrize("_podflare_where", WHERE)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        uses = marker.FIXTURE in getattr(item, "fixturenames", ())
        if uses and marker.target(item) == "both" and _where(item) is None:
            marker.refuse(
                item,
                "target='both' needs a test function, which can run twice; a method of unittest.TestCase cannot",
            )

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, None]:
        outcome = yield
        where, seen = _where(item), item.stash.get(_seen, None)
        if where and seen and call.when == "call":
            outcome.get_result().podflare_observed = {
                "pair": item.nodeid.replace(f"{where}]", "]"),
                "where": where,
                "compare": marker.read(item).compare,
                "seen": seen(),
            }

    @pytest.hookimpl(hookwrapper=True)  # before the hooks that count and print
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        told = getattr(report, "podflare_observed", None)
        if told and self._compares and report.outcome in ("passed", "failed"):
            other = self._waiting.pop(told["pair"], None)
            if other is None:
                self._waiting[told["pair"]] = report
            elif difference := self._difference(other, report):
                _fail(report, difference)
        yield

    def _difference(self, one: Any, other: Any) -> str | None:
        mine, theirs = one.podflare_observed, other.podflare_observed
        names = (self._names[mine["where"]], self._names[theirs["where"]])
        seen = None
        if mine["compare"] != "outcome":
            seen = first_difference(mine["seen"], theirs["seen"], names)
        if one.outcome != other.outcome:
            verdict = f"{one.outcome} on {names[0]}, {other.outcome} on {names[1]}"
            return f"{verdict}\n{seen}" if seen else verdict
        if seen and one.passed:
            return f"passed on both, but what it saw differs\n{seen}"
        return None


def _where(item: pytest.Item) -> str | None:
    where: str | None = getattr(item, "callspec", None) and item.callspec.params.get("_podflare_where")  # type: ignore[attr-defined]
    return where


def _fail(report: pytest.TestReport, difference: str) -> None:
    if report.failed:
        report.sections.append(("Podflare difference", difference))
    else:
        report.outcome = "failed"
        report.longrepr = difference
