"""Baselines: times before which nothing in a tree has changed."""

from __future__ import annotations

import os
from pathlib import Path


def settled(*roots: Path) -> int:
    """A time that nothing in the trees has changed since, and that every later change comes after."""
    since = max(os.lstat(path).st_ctime_ns for root in roots for path in [root, *root.rglob("*")])
    probe = roots[0].parent / "probe"
    probe.touch()
    while probe.stat().st_ctime_ns <= since:
        os.utime(probe)
    return since
