"""Makes the working directory the first place to search for modules, except for this package's own imports.

As in any REPL, a `copy.py` that the user has written takes precedence over the standard library's. This package's code
must not import that one: it would run at odd times, and bash would not start.
"""

from __future__ import annotations

import contextlib
import sys
from _thread import get_ident
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_before: list[str] = []


def search_working_directory() -> None:
    """From now on, imports search the current working directory first, whichever that is at the time."""
    _before[:] = sys.path
    sys.path.insert(0, "")


@contextlib.contextmanager
def own() -> Iterator[None]:
    """Inside the block, this thread's imports do not search the working directory. Other threads are not affected."""
    finder = _Finder()
    places = sys.meta_path
    # Portable isolation has its own finder further ahead, which asks the others.
    places.insert(places.index(PathFinder) if PathFinder in places else len(places), finder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            places.remove(finder)


class _Finder:
    def __init__(self) -> None:
        self._thread = get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or get_ident() != self._thread:
            return None
        return PathFinder.find_spec(name, _before, target)
