"""Stubs for shell commands, selected by name, wherever in a sandbox they are called."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from msgspec import Struct, field

from podflare_emulator.domain.testing.stubs import newest_first
from podflare_emulator.hosting.guests.orders import NO_COMMANDS, CommandTable
from podflare_emulator.vocabulary.answers import Answer

# Bash's builtins and keywords, and bash itself, since the sandbox runs all bash code with it.
_WORDS = """
    alias bash bg bind break builtin caller case cd command compgen complete compopt continue coproc
    declare dirs disown do done echo elif else enable esac eval exec exit export false fc fg fi for
    function getopts hash help history if in jobs kill let local logout mapfile popd printf pushd pwd read
    readarray readonly return select set shift shopt source suspend test then time times trap true type
    typeset ulimit umask unalias unset until wait while
"""
BUILTINS = frozenset(_WORDS.split())


class CommandStub(Struct):
    """Answers calls of `command` whose arguments, joined by spaces, contain `match`.

    `delay`, `left` and `default`: as in a Stub. `calls`: the arguments of each call that it has answered.
    """

    command: str
    match: str
    answer: Answer
    delay: float
    left: int | None
    default: bool
    calls: list[list[str]] = field(default_factory=list)


class Commands:
    """Sandboxes answer from a table that they get with an exec, and report the calls when it ends."""

    def __init__(self) -> None:
        self._numbers = itertools.count()  # never used twice
        self.versions = itertools.count(NO_COMMANDS.version + 1)
        self._stubs: dict[int, CommandStub] = {}
        self._only_defaults = False
        self.table = NO_COMMANDS

    def add(self, stub: CommandStub) -> int:
        """Returns its number."""
        number = next(self._numbers)
        self._stubs[number] = stub
        self._lay_out()
        return number

    def called(self, calls: Iterable[tuple[int, list[str]]]) -> list[list[str]]:
        """Records the calls that a sandbox has answered, as stub number and arguments; returns the command lines."""
        answered = []
        counted = False
        for number, words in calls:
            stub = self._stubs.get(number)  # None: it was forgotten while the code ran
            if stub is None:
                continue
            stub.calls.append(words)
            answered.append([stub.command, *words])
            if stub.left is not None:
                # Sandboxes that ran at the same time may each have used the last one.
                stub.left = max(0, stub.left - 1)
                counted = True
        if counted:
            self._lay_out()
        return answered

    def calls(self) -> list[tuple[int, list[list[str]]]]:
        """The number of each stub, and the calls that it has answered."""
        return [(number, stub.calls) for number, stub in self._stubs.items()]

    def leave_only_defaults(self, only: bool) -> None:
        self._only_defaults = only
        self._lay_out()

    def clear(self) -> None:
        self._stubs.clear()
        self.leave_only_defaults(False)

    def _lay_out(self) -> None:
        entries = [
            {
                "number": number,
                "command": stub.command,
                "match": stub.match,
                "steps": stub.answer.steps(stub.delay),
                "exit_code": stub.answer.exit_code,
                "left": stub.left,
            }
            for number, stub in newest_first(self._stubs)
            if stub.default or not self._only_defaults
        ]
        self.table = CommandTable(next(self.versions), entries) if entries else NO_COMMANDS
