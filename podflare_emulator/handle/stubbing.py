"""Stubs for code and commands that a test does not want to run: the part of `Emulator` about stubs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from podflare_emulator.handle.record import Record, listed
from podflare_emulator.handle.stub_functions import AnswerFunction, Functions, Match
from podflare_emulator.handle.stubs import (
    CommandStub,
    Stub,
    arguments,
    check_answer,
    describe,
    describe_command,
)
from podflare_emulator.vocabulary.answers import Output
from podflare_emulator.vocabulary.errors import EmulatorError


class Stubs(Record):
    """A base of `Emulator`. Stubs are removed at the next reset."""

    def __init__(self) -> None:
        super().__init__()
        self._arranged_stubs: list[Stub | CommandStub] = []
        self._only_defaults = False

    def stub(
        self,
        match: Match,
        *,
        language: Literal["python", "bash"] | None = None,
        stdout: Output = "",
        stderr: Output = "",
        exit_code: int = 0,
        delay: float = 0,
        answer: AnswerFunction | None = None,
        raises: str | BaseException | type[BaseException] | None = None,
        times: int | None = None,
        default: bool = False,
    ) -> Stub:
        """Answers matching execs without running them, until the next reset. Execs that no stub matches run for real.

            emulator.stub("pip install", stdout="Successfully installed requests-2.32.3")
            emulator.stub("train()", stdout=["epoch 1", 0.5, "epoch 2"], delay=1)
            emulator.stub("openai", answer=lambda call: call.run_real(call.code.replace("openai", "fake_openai")))

        The newest stub that matches answers. The journal lists stubbed execs too.

        Args:
            match: A part of the code, a regular expression to search for in the code, or a function of code and
                language that returns whether the stub answers.
            language: Only code in this language.
            stdout, stderr: A string, or a list of strings and numbers; a number is a pause in seconds.
            delay: Seconds before the first output.
            answer: A function that gets a `StubCall` and returns text for stdout, an `Answer`, a result of the SDK, or
                `call.run_real()`. If it raises, the exec fails with 500. It runs in a thread of this process, and may
                use the emulator, the SDK, and the same sandbox.
            raises: The exec fails with 500 and this text.
            times: The number of execs that it answers; by default all.
            default: All other stubs come first, and `assert_all_stubs_used` ignores it.
        """
        number = self._call(
            "add_stub",
            label=describe(match, language),
            **arguments(
                match,
                language=language,
                stdout=stdout,
                stderr=stderr,
                exit_code=exit_code,
                delay=delay,
                answer=answer,
                raises=raises,
                times=times,
                default=default,
            ),
        )
        if answer or callable(match):
            Functions(match, answer).serve(self._call, number)
        stub = Stub(describe(match, language), number, lambda: self._call("stubs_used"))
        if not default:
            self._arranged_stubs.append(stub)
        return stub

    def stub_command(
        self,
        command: str,
        *,
        match: str = "",
        stdout: Output = "",
        stderr: Output = "",
        exit_code: int = 0,
        delay: float = 0,
        times: int | None = None,
        default: bool = False,
        answer: None = None,
    ) -> CommandStub:
        """Answers calls of a command by its name, anywhere in a sandbox, until the next reset.

            pip = emulator.stub_command("pip", match="install", stdout="Successfully installed")
            sandbox.run_code("pip install prophet && python -c 'print(1)'", language="bash")
            assert pip.calls == [["install", "prophet"]]

        It answers wherever the command is found on the PATH: in bash scripts, from other programs, from `subprocess`
        in Python. The rest of the script runs for real, and so do calls that no stub matches. The newest stub that
        matches answers.

        Args:
            match: A part of the arguments, joined by spaces.
            times: The number of calls that it answers; by default all. Between sandboxes that run at the same time,
                calls are counted when an exec ends.
            answer: Refused: a sandbox cannot call a function of this process. Stub the code that calls the command
                instead.

        The other arguments are those of `stub`.
        """
        if answer is not None:
            raise EmulatorError(
                "answer: a command is answered in the sandbox, where no function can be called; give stdout, stderr "
                "and exit_code, or stub the code that calls it: stub(..., answer=...)"
            )
        if not isinstance(match, str):
            raise EmulatorError(f"match: expected a part of the command's arguments, got {match!r}")
        check_answer(stdout, stderr, exit_code, delay)
        number = self._call(
            "add_command_stub",
            command=command,
            match=match,
            stdout=stdout,
            stderr=stderr,
            exit_code=exit_code,
            delay=delay,
            times=times,
            default=default,
        )
        stub = CommandStub(describe_command(command, match), number, lambda: self._call("command_calls"))
        if not default:
            self._arranged_stubs.append(stub)
        return stub

    @contextmanager
    def only_default_stubs(self) -> Iterator[None]:
        """A context manager: inside, only default stubs answer. For preparations that outlive the test."""
        if not self._arranged_stubs or self._only_defaults:
            yield
            return
        self._call("leave_only_default_stubs", only=True)
        self._only_defaults = True
        try:
            yield
        finally:
            self._only_defaults = False
            self._call("leave_only_default_stubs", only=False)

    def assert_all_stubs_used(self) -> None:
        """Raises AssertionError if a stub has answered nothing; names it, and lists what ran."""
        unused = [stub.described for stub in self._arranged_stubs if not stub.used]
        if unused:
            ran = listed(self.execs())
            raise AssertionError(f"nothing matched the stub(s) {', '.join(unused)}; what ran:\n{ran}")
