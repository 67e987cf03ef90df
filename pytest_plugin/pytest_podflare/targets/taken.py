"""The isolation that `auto` has taken, for the line at the end of a run.

It is known when a server has started: too late for the header, and under xdist to the workers alone.
"""

from __future__ import annotations

from typing import Any

import pytest

_TAKEN = pytest.StashKey[set[str]]()
_OUTPUT = "podflare_isolation"  # of a worker


def note(config: pytest.Config, taken: str) -> None:
    """To be reported here, or sent to the process that reports."""
    if hasattr(config, "workeroutput"):
        config.workeroutput[_OUTPUT] = taken
    else:
        config.stash.setdefault(_TAKEN, set()).add(taken)


def note_of_worker(node: Any) -> None:
    if taken := getattr(node, "workeroutput", {}).get(_OUTPUT):
        note(node.config, taken)


def lines(config: pytest.Config) -> list[str]:
    """One; more if it was not the same for all workers."""
    return [f"podflare: isolation: {taken}" for taken in sorted(config.stash.get(_TAKEN, ()))]
