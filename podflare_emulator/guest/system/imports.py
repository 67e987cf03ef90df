"""The working directory as the first place for modules, and imports that it must not answer.

As in any REPL, a `copy.py` that the user has written comes before the standard library's. This package's own code must
not get that one: it would run at odd times, and bash would not start.
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
    """From now on it is searched first, wherever that is then."""
    _before[:] = sys.path
    sys.path.insert(0, "")


@contextlib.contextmanager
def own() -> Iterator[None]:
    """In here this thread finds modules where they were before that. The user's threads go on as they are."""
    finder = _Finder()
    places = sys.meta_path
    # Portable isolation has a finder of its own further in front, which asks the others.
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
