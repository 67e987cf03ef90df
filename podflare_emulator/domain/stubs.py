"""Answers to execs that are not run: for what cannot run offline."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass


@dataclass
class Stub:
    """Answers execs in `language` (None: either) in whose code `pattern` is found.

    `left`: how many more times, None for any number. `used`: how many times it has.
    """

    pattern: re.Pattern[str]
    language: str | None
    stdout: str
    stderr: str
    exit_code: int
    left: int | None
    used: int = 0


class Stubs:
    """The newest that matches answers: a test's own come before those of its conftest."""

    def __init__(self) -> None:
        self._numbers = (
            itertools.count()
        )  # never given twice: whoever holds one of a stub that is gone must learn it
        self._stubs: dict[int, Stub] = {}

    def add(self, stub: Stub) -> int:
        """Returns its number."""
        number = next(self._numbers)
        self._stubs[number] = stub
        return number

    def take(self, code: str, language: str) -> Stub | None:
        """The stub that answers this exec, which counts as used."""
        for stub in reversed(self._stubs.values()):
            if stub.left != 0 and stub.language in (None, language) and stub.pattern.search(code):
                stub.used += 1
                if stub.left is not None:
                    stub.left -= 1
                return stub
        return None

    def used(self) -> list[tuple[int, int]]:
        """The number of each, and how often it has answered."""
        return [(number, stub.used) for number, stub in self._stubs.items()]

    def clear(self) -> None:
        self._stubs.clear()
