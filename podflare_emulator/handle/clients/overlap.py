"""Patches of this process that need not end in reverse order.

A fixture of a wider scope that a running test asks for begins within the test's redirect, and ends after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Patch = Callable[[], AbstractContextManager[None]]


class _Patched:
    def __init__(self, patch: Patch) -> None:
        self._patch = patch

    def begin(self) -> None:
        self._inside = self._patch()
        self._inside.__enter__()
        _active.append(self)

    def end(self) -> None:
        _active.remove(self)
        self._inside.__exit__(None, None, None)


_active: list[_Patched] = []  # in this process, the latest last


@contextmanager
def overlapping(patch: Patch) -> Iterator[None]:
    """As inside of `patch()`. At its end, those that began later are undone before it, and begun again after it."""
    ours = _Patched(patch)
    ours.begin()
    try:
        yield
    finally:
        later = _active[_active.index(ours) + 1 :]
        for one in (*reversed(later), ours):
            one.end()
        for one in later:
            one.begin()
