"""The marker: what one test, class or module wishes of the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import pytest

from pytest_podflare.options import LEAK_POLICIES

NAME = "podflare"
DESCRIPTION = (
    f"{NAME}(files=None, leaks=None): arrange the Podflare emulator for a test. "
    "files: a dict from absolute paths in every new sandbox to bytes, text, or a Path of a file or folder here; "
    f"leaks: {', '.join(LEAK_POLICIES)}, as the option --podflare-leaks."
)


class Wishes(NamedTuple):
    files: Mapping[str, Any]
    leaks: Literal["ignore", "warn", "error"] | None


def check(item: pytest.Item) -> None:
    """Raises pytest.UsageError for a marker that cannot be meant, before any test runs."""
    for mark in item.iter_markers(NAME):
        mistake = _mistake(mark)
        if mistake is None and "_podflare_api" not in getattr(item, "fixturenames", ()):
            mistake = "the test uses none of Podflare's fixtures; add podflare_emulator to it"
        if mistake:
            raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.{NAME}: {mistake}")


def read(node: pytest.Item) -> Wishes:
    """Of several markers the nearest to the test wins, file by file."""
    files: dict[str, Any] = {}
    leaks = None
    for mark in reversed(list(node.iter_markers(NAME))):
        files |= mark.kwargs.get("files") or {}
        leaks = mark.kwargs.get("leaks", leaks)
    return Wishes(files, leaks)


def _mistake(mark: pytest.Mark) -> str | None:
    if mark.args:
        return f"takes names only, such as files={{...}}, got {mark.args[0]!r}"
    for name in mark.kwargs:
        if name not in Wishes._fields:
            import difflib  # late: the plugin must cost nothing where it is not used

            near = difflib.get_close_matches(name, Wishes._fields, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(Wishes._fields)}"
            return f"unknown name {name!r}; {hint}"
    files, leaks = mark.kwargs.get("files"), mark.kwargs.get("leaks")
    if not (files is None or isinstance(files, Mapping)):
        return f"files: expected a dict such as {{'/data/x.csv': Path('x.csv')}}, got {files!r}"
    if leaks not in (None, *LEAK_POLICIES):
        return f"leaks: expected {', '.join(LEAK_POLICIES)}, got {leaks!r}"
    return None
