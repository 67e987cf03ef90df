"""Additions to the report of a failing test."""

from __future__ import annotations

import re

import pytest

from pytest_podflare.targets.target import Target

_MISMATCH = re.compile(r"fixture (\w+) with a (session|package|module|class) scoped request")


def tell(item: pytest.Item, report: pytest.TestReport, target: Target) -> None:
    """Adds backend, journal and log as sections, and for JUnit's XML, which has no sections, as properties."""
    told = target.last() if report.when == "teardown" else ("", "")
    if not any(told):
        told = target.journal(), target.log()
    if description := target.describe():
        report.sections.append(("Podflare emulator", description))
    for name, text in zip(("journal", "log"), told, strict=True):
        if text:
            report.sections.append((f"Podflare {name}", text))
            if item.config.getoption("xmlpath", None):
                _add_property(item, report, f"podflare_{name}", text)


def _add_property(item: pytest.Item, report: pytest.TestReport, name: str, text: str) -> None:
    """JUnit's XML takes the properties of the teardown's report, which include those of the item."""
    if report.when != "teardown":  # forgets those of an earlier attempt at the test
        item.user_properties[:] = [one for one in item.user_properties if one[0] != name]
    if name not in dict(item.user_properties):
        item.user_properties.append((name, text))
        if report.when == "teardown":
            report.user_properties.append((name, text))


def explain_scope(report: pytest.TestReport) -> None:
    """A fixture of a wider scope cannot use a test's sandbox: adds what it can use instead."""
    words = str(report.longrepr)
    found = _MISMATCH.search(words)
    if "ScopeMismatch" in words and "podflare" in words and found:
        name, scope = found.groups()
        report.longrepr = (
            f"{words}\n{name} is one test's own. For a fixture of scope {scope}: use podflare_emulator_{scope}, and "
            f"make a Sandbox() there; or use @prepared_sandbox(scope={scope!r}), of which each test gets a fork"
        )
