"""The isolation that `auto` has chosen, for the line at the end of a run.

It is known once a server has started: too late for the header, and under xdist only in the workers.
"""

from __future__ import annotations

from typing import Any

import pytest

_TAKEN = pytest.StashKey[set[str]]()
_OUTPUT = "podflare_isolation"  # its key in a worker's output


def note(config: pytest.Config, taken: str) -> None:
    """Notes it for the report, here or in the process that reports."""
    if hasattr(config, "workeroutput"):
        config.workeroutput[_OUTPUT] = taken
    else:
        config.stash.setdefault(_TAKEN, set()).add(taken)


def note_of_worker(node: Any) -> None:
    if taken := getattr(node, "workeroutput", {}).get(_OUTPUT):
        note(node.config, taken)


def lines(config: pytest.Config) -> list[str]:
    """One line; more if workers have different isolations."""
    return [f"podflare: isolation: {taken}" for taken in sorted(config.stash.get(_TAKEN, ()))]
