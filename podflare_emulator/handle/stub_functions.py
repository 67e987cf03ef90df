"""Runs the test's functions that stubs have, in threads of this process, when the server asks.

The server may be in another process; even if it is not, a blocking function must not stop it.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from podflare_emulator.vocabulary.answers import Answer
from podflare_emulator.vocabulary.errors import EmulatorError


class _Result(Protocol):
    """An Answer, or a result of the SDK."""

    stdout: Any
    stderr: Any
    exit_code: int


@dataclass(frozen=True)
class StubCall:
    """An exec that a function is to answer. `sandbox`: its id."""

    code: str
    language: str
    sandbox: str
    _run: Callable[[str | None], dict[str, Any]]

    def run_real(self, code: str | None = None) -> Answer:
        """Runs it, or other code, in its sandbox; returns the result, for the function to return as it is or changed.

        The code's output and its exec are in the journal only as part of the answer.

        Raises:
            EmulatorError: The client or the sandbox is gone.
        """
        return Answer(**self._run(code))


Match = str | re.Pattern[str] | Callable[[str, str], object]
AnswerFunction = Callable[[StubCall], str | _Result]


@dataclass(frozen=True)
class Functions:
    """The functions of one stub."""

    match: Match
    answer: AnswerFunction | None

    def serve(self, call: Callable[..., Any], stub: int) -> None:
        """Answers questions from a new thread until the stub is gone. `call` makes a call of the control API."""
        threading.Thread(
            target=self._serve, args=(call, stub), name="podflare-emulator-stub", daemon=True
        ).start()

    def _serve(self, call: Callable[..., Any], stub: int) -> None:
        with contextlib.suppress(EmulatorError):  # the emulator has been stopped
            while (question := call("next_question", stub=stub)) is not None:
                # Each in another thread: it may block, or make an exec that leads to a question too.
                threading.Thread(
                    target=self._reply, args=(call, question), name="podflare-emulator-answer", daemon=True
                ).start()

    def _reply(self, call: Callable[..., Any], question: dict[str, Any]) -> None:
        number = question["question"]
        reply: dict[str, Any]
        try:
            reply = {"result": self._result(call, **question)}
        except BaseException as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        with contextlib.suppress(EmulatorError):
            call("reply", question=number, **reply)

    def _result(
        self, call: Callable[..., Any], question: int, asks: str, code: str, language: str, sandbox: str
    ) -> Any:
        if asks == "match":
            assert callable(self.match)
            return bool(self.match(code, language))
        assert self.answer is not None
        stub_call = StubCall(
            code, language, sandbox, lambda code: call("run_real", question=question, code=code)
        )
        returned = self.answer(stub_call)
        if isinstance(returned, str):
            answer = Answer(returned)
        else:
            try:
                answer = Answer(returned.stdout, returned.stderr, returned.exit_code)
            except AttributeError:
                raise TypeError(
                    f"the answer function of a stub returned {returned!r}; return text, Answer(...), or "
                    "call.run_real()"
                ) from None
        answer.check()
        return {"stdout": answer.stdout, "stderr": answer.stderr, "exit_code": answer.exit_code}
