"""Answers execs without running them, for code that cannot run offline."""

from __future__ import annotations

import itertools
import re
from typing import Protocol, TypeVar

from msgspec import Struct

from podflare_emulator.domain.testing.questions import AskedExec, Questions
from podflare_emulator.vocabulary.answers import Answer
from podflare_emulator.vocabulary.sandbox_errors import GuestFailed


class _Layered(Protocol):
    default: bool


_Either = TypeVar("_Either", bound=_Layered)


def newest_first(stubs: dict[int, _Either]) -> list[tuple[int, _Either]]:
    """Numbers and stubs, with the defaults after all others."""
    return sorted(stubs.items(), key=lambda one: (one[1].default, -one[0]))


class Stub(Struct):
    """Answers execs in `language` (None: either) whose code matches `pattern`.

    Without a pattern, or without an answer, a function of the test is asked. `name`: the test's name for it. `error`:
    fails the exec with this instead of answering. `delay`: seconds before either. `left`: how many more times it may
    answer, None for any number. `default`: applies only if no other stub does. `used`: how often it has answered.
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


class Decision(Struct, frozen=True):
    """The stub that answers an exec, and its answer, or the error to fail with."""

    stub: Stub
    answer: Answer
    error: str | None


class Stubs:
    """The newest stub that matches answers: a test's own come before those of its conftest."""

    def __init__(self) -> None:
        # Never used twice: the number of a stub that is gone must not find another one.
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
        """Finds the stub that answers an exec, if any, and counts it as used.

        Waits only for functions. If one of them raises, that is the exec's error.
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
        """The number of each stub, and how often it has answered."""
        return [(number, stub.used) for number, stub in self._stubs.items()]

    def clear(self) -> None:
        self.only_defaults = False
        self._stubs.clear()
        self.questions.clear()
