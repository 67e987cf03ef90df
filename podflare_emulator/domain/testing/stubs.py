"""Answers to execs that are not run: for what cannot run offline."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Protocol, TypeVar

from podflare_emulator.domain.testing.questions import AskedExec, Questions
from podflare_emulator.vocabulary.answers import Answer
from podflare_emulator.vocabulary.sandbox_errors import GuestFailed


class _Layered(Protocol):
    default: bool


_Either = TypeVar("_Either", bound=_Layered)


def newest_first(stubs: dict[int, _Either]) -> list[tuple[int, _Either]]:
    """With their numbers; after all others those that are a default."""
    return sorted(stubs.items(), key=lambda one: (one[1].default, -one[0]))


@dataclass
class Stub:
    """Answers execs in `language` (None: either) in whose code `pattern` is found.

    Without a pattern, or without an answer, a function of the test's is asked. `name`: as the test's author calls it.
    `error`: what the exec fails with, instead of an answer. `delay`: seconds before either. `left`: how many more
    times, None for any number. `default`: comes after all that are not. `used`: how many times it has answered.
    """

    name: str
    pattern: re.Pattern[str] | None
    language: str | None
    answer: Answer | None
    error: str | None
    delay: float
    left: int | None
    default: bool
    used: int = 0

    @property
    def asks(self) -> bool:
        return self.pattern is None or (self.answer is None and self.error is None)


@dataclass(frozen=True)
class Decision:
    """The stub that answers an exec, and what with: an answer, or the error to fail with."""

    stub: Stub
    answer: Answer
    error: str | None


class Stubs:
    """The newest that matches answers: a test's own come before those of its conftest."""

    def __init__(self) -> None:
        # Never given twice: whoever holds one of a stub that is gone must learn it.
        self._numbers = itertools.count()
        self._stubs: dict[int, Stub] = {}
        self.only_defaults = False
        self.questions = Questions()

    def __bool__(self) -> bool:
        return bool(self._stubs)

    @property
    def ask(self) -> bool:
        """Whether `decide` may have to wait for a function."""
        return any(stub.asks for stub in self._stubs.values())

    def add(self, stub: Stub) -> int:
        """Returns its number."""
        number = next(self._numbers)
        self._stubs[number] = stub
        if stub.asks:
            self.questions.expect(number)
        return number

    async def decide(self, call: AskedExec) -> Decision | None:
        """By what an exec is answered, if by anything: that stub counts as used.

        Waits only for functions. What one of them raises is the exec's error.
        """
        for number, stub in newest_first(self._stubs):
            if stub.left == 0 or stub.language not in (None, call.language):
                continue
            if self.only_defaults and not stub.default:
                continue
            try:
                if not await self._matches(number, stub, call) or stub.left == 0:  # used up meanwhile
                    continue
            except GuestFailed as error:
                return Decision(stub, Answer(), str(error))
            stub.used += 1
            if stub.left is not None:
                stub.left -= 1
            if stub.answer or stub.error is not None:
                return Decision(stub, stub.answer or Answer(), stub.error)
            try:
                return Decision(stub, await self.questions.ask(number, "answer", call), None)
            except GuestFailed as error:
                return Decision(stub, Answer(), str(error))
        return None

    async def _matches(self, number: int, stub: Stub, call: AskedExec) -> bool:
        if stub.pattern:
            return stub.pattern.search(call.code) is not None
        return bool(await self.questions.ask(number, "match", call))

    def used(self) -> list[tuple[int, int]]:
        """The number of each, and how often it has answered."""
        return [(number, stub.used) for number, stub in self._stubs.items()]

    def clear(self) -> None:
        self.only_defaults = False
        self._stubs.clear()
        self.questions.clear()
