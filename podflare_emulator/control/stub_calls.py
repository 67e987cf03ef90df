"""Execs and commands that a test answers instead of running them: the part of `Control` about stubs."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from podflare_emulator.domain.testing.calls import read_pattern
from podflare_emulator.domain.testing.commands import BUILTINS, Commands, CommandStub
from podflare_emulator.domain.testing.stubs import Stub, Stubs
from podflare_emulator.vocabulary.answers import Answer, Output, check_seconds
from podflare_emulator.vocabulary.arguments import check_kind
from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest

_COMMAND = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


class StubControl:
    def __init__(self, stubs: Stubs, commands: Commands) -> None:
        self._stubs = stubs
        self._commands = commands

    async def add_stub(
        self,
        pattern: str | None = None,
        flags: int = 0,
        language: str | None = None,
        stdout: Output = "",
        stderr: Output = "",
        exit_code: int = 0,
        delay: float = 0,
        raises: str | None = None,
        asks: bool = False,
        times: int | None = None,
        default: bool = False,
        label: str | None = None,
    ) -> int:
        """Answers execs whose code matches the regular expression `pattern`; returns the stub's number.

        Without a pattern, the caller of `next_question` is asked which execs match; with `asks`, also for the answer.
        `raises`: fails the exec with this instead. `label`: its name in the journal.
        """
        check_kind(bool, asks=asks, default=default)
        check_kind(str, raises=raises, label=label, optional=True)
        if language not in (None, "python", "bash"):
            raise InvalidRequest(f"language: expected python or bash, got {language!r}")
        answer = _answer(stdout, stderr, exit_code, delay, times)
        if (raises is not None or asks) and (answer != Answer() or (asks and raises is not None)):
            given = "answer" if asks else "raises"
            raise InvalidRequest(f"{given}: give it alone, instead of stdout, stderr and exit_code")
        stub = Stub(
            label or str(pattern),
            None if pattern is None else read_pattern("pattern", pattern, flags),
            language,
            None if asks or raises is not None else answer,
            raises,
            delay,
            times,
            default,
        )
        return self._stubs.add(stub)

    async def stubs_used(self) -> list[tuple[int, int]]:
        """The number of each stub, and how often it has answered."""
        return self._stubs.used()

    async def leave_only_default_stubs(self, only: bool) -> None:
        """While true, only default stubs answer execs and commands. A reset ends it."""
        check_kind(bool, only=only)
        self._stubs.only_defaults = only
        self._commands.leave_only_defaults(only)

    async def next_question(self, stub: int) -> dict[str, Any] | None:
        """Waits until this stub's functions are asked about an exec; None when the stub is gone.

        `question`: its number. `asks`: "match" or "answer". `code`, `language` and `sandbox`: the exec's.
        """
        check_kind(int, stub=stub)
        return await self._stubs.questions.next(stub)

    async def reply(self, question: int, result: Any = None, error: str | None = None) -> None:
        """Replies to `asks: match` with true or false, to `asks: answer` with {stdout, stderr, exit_code}.

        With an `error`, the exec fails.
        """
        check_kind(int, question=question)
        check_kind(str, error=error, optional=True)
        self._stubs.questions.reply(question, result, error)

    async def run_real(self, question: int, code: str | None = None) -> dict[str, Any]:
        """Runs a question's code, or `code`, in its sandbox; returns stdout, stderr and exit_code."""
        check_kind(int, question=question)
        check_kind(str, code=code, optional=True)
        return asdict(await self._stubs.questions.run_real(question, code))

    async def add_command_stub(
        self,
        command: str,
        match: str = "",
        stdout: Output = "",
        stderr: Output = "",
        exit_code: int = 0,
        delay: float = 0,
        times: int | None = None,
        default: bool = False,
    ) -> int:
        """Answers calls of a command on the PATH whose arguments contain `match`; returns the stub's number."""
        check_kind(bool, default=default)
        if not isinstance(command, str) or not _COMMAND.fullmatch(command):
            raise InvalidRequest(
                f"command: expected a program's name such as pip, without a path, got {command!r}"
            )
        if command in BUILTINS:
            raise InvalidRequest(
                f"command: {command} is part of bash and not looked up on the PATH; stub the code that calls it"
            )
        if not isinstance(match, str):
            raise InvalidRequest(f"match: expected a part of the command's arguments, got {match!r}")
        answer = _answer(stdout, stderr, exit_code, delay, times)
        said = (line for step in answer.steps() for line in step.lines)
        if any("\0" in text for text in (match, *said)):
            raise InvalidRequest("a command's arguments and output cannot hold a NUL character")
        return self._commands.add(CommandStub(command, match, answer, delay, times, default))

    async def command_calls(self) -> list[tuple[int, list[list[str]]]]:
        """The number of each command stub, and the arguments of each call that it has answered."""
        return self._commands.calls()


def _answer(stdout: Output, stderr: Output, exit_code: int, delay: float, times: int | None) -> Answer:
    answer = Answer(stdout, stderr, exit_code)
    try:
        answer.check()
        check_seconds("delay", delay)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    if times is not None and not (type(times) is int and times >= 1):
        raise InvalidRequest(f"times: expected 1 or more, got {times!r}")
    return answer
