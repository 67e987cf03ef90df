"""`emulator.stub(...)` and `emulator.stub_command(...)`: answers instead of running code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from podflare_emulator.handle.registration import entry_of
from podflare_emulator.handle.stub_functions import AnswerFunction, Match
from podflare_emulator.handle.stub_functions import StubCall as StubCall
from podflare_emulator.vocabulary.answers import Answer as Answer
from podflare_emulator.vocabulary.answers import Output, check_seconds
from podflare_emulator.vocabulary.errors import EmulatorError


@dataclass(frozen=True)
class Stub:
    """A stub of code, with the number of its answers."""

    described: str
    _number: int
    _counts: Callable[[], list[tuple[int, int]]]

    @property
    def used(self) -> int:
        """Raises EmulatorError once a reset has forgotten it."""
        return entry_of(self._number, self._counts(), f"the stub {self.described}")


@dataclass(frozen=True)
class CommandStub:
    """A stub of a command, with the calls that it has answered."""

    described: str
    _number: int
    _calls: Callable[[], list[tuple[int, list[list[str]]]]]

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call that it has answered; complete when the exec that made the calls has ended.

        Raises EmulatorError after a reset.
        """
        return entry_of(self._number, self._calls(), f"the stub {self.described}")

    @property
    def used(self) -> int:
        return len(self.calls)


def describe(match: Match, language: str | None) -> str:
    if isinstance(match, re.Pattern):
        what = f"re.compile({match.pattern!r})"
    else:
        what = repr(match) if isinstance(match, str) else getattr(match, "__name__", repr(match))
    return f"{what} ({language})" if language else what


def describe_command(command: str, match: str) -> str:
    return f"of the command {command!r}" + (f" with {match!r}" if match else "")


def arguments(
    match: Match,
    *,
    answer: AnswerFunction | None,
    raises: str | BaseException | type[BaseException] | None,
    **rest: Any,
) -> dict[str, Any]:
    """As the control API takes them. Raises EmulatorError."""
    check_answer(rest["stdout"], rest["stderr"], rest["exit_code"], rest["delay"])
    if answer is not None and not _takes(answer, StubCall):
        raise EmulatorError(
            f"answer: expected a plain function of one argument, the call, got {answer!r}; "
            "text is given as stdout="
        )
    rest |= {"asks": answer is not None, "raises": raised_text(raises)}
    if isinstance(match, str) and match:
        return {"pattern": re.escape(match), **rest}
    if isinstance(match, re.Pattern) and isinstance(match.pattern, str) and match.pattern:
        return {"pattern": match.pattern, "flags": int(match.flags), **rest}
    if _takes(match, "code", "language"):
        return rest
    raise EmulatorError(
        "match: expected a part of the code, a compiled regular expression, or a plain function of code and "
        f"language, got {match!r}"
    )


def check_answer(stdout: Output, stderr: Output, exit_code: int, delay: float) -> None:
    """Raises EmulatorError."""
    try:
        Answer(stdout, stderr, exit_code).check()
        check_seconds("delay", delay)
    except ValueError as error:
        raise EmulatorError(str(error)) from None


def raised_text(raised: str | BaseException | type[BaseException] | None) -> str | None:
    if raised is None or isinstance(raised, str):
        return raised
    if isinstance(raised, type) and issubclass(raised, BaseException):
        return raised.__name__
    if isinstance(raised, BaseException):
        return f"{type(raised).__name__}: {raised}" if str(raised) else type(raised).__name__
    raise EmulatorError(f"raises: expected an exception or its message, got {raised!r}")


def _takes(function: object, *arguments: object) -> bool:
    """Whether it is a function that takes these arguments, and returns a result rather than a coroutine."""
    if not callable(function) or inspect.iscoroutinefunction(function):
        return False
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # a built-in one without a signature
        pass
    return True
