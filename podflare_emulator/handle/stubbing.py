"""What a test does not want to run: the part of `Emulator` that is about stubs."""

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
    """A base of `Emulator`. All of it holds until the next reset."""

    def __init__(self) -> None:
        super().__init__()
        self._arranged_stubs: list[Stub | CommandStub] = []

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
        """Until the next reset, answers execs without running them; what no stub matches runs for real.

            emulator.stub("pip install", stdout="Successfully installed requests-2.32.3")
            emulator.stub("train()", stdout=["epoch 1", 0.5, "epoch 2"], delay=1)
            emulator.stub("openai", answer=lambda call: call.run_real(call.code.replace("openai", "fake_openai")))

        The newest stub that matches answers. What is stubbed is in the journal all the same.

        Args:
            match: A part of the code, a regular expression that is searched for in it, or a function of code and
                language that tells whether it is meant.
            language: Only code in this language.
            stdout, stderr: Text; or a list of texts with seconds to wait among them.
            delay: Seconds before the answer.
            answer: A function that gets a `StubCall` and returns text for stdout, an `Answer`, a result of the SDK's,
                or `call.run_real()`. The exec fails with 500 and what it raises. It is called in a thread of this
                process, and may use the emulator, the SDK, and this sandbox itself, which is free meanwhile.
            raises: The exec fails with 500 and this text.
            times: How many execs it answers; by default all.
            default: It comes after all that are not, and need not be used.
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
        """Until the next reset, answers a command wherever in a sandbox it is called by its name.

            pip = emulator.stub_command("pip", match="install", stdout="Successfully installed")
            sandbox.run_code("pip install prophet && python -c 'print(1)'", language="bash")
            assert pip.calls == [["install", "prophet"]]

        That is, wherever it is found on the PATH: in bash scripts, by other programs, by `subprocess` in Python code.
        The rest of the script runs for real, and so do calls that no stub matches. The newest that matches answers.

        Args:
            match: A part of its arguments, joined by spaces.
            times: How many calls it answers; by default all. Sandboxes that run at the same time do not know of each
                other's calls before their execs have ended.
            answer: Refused: a function cannot be asked from inside a sandbox. Stub the code that calls the command.

        The others are as those of `stub`.
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
        """Inside, the others answer nothing: what is prepared there is to outlive the test that has them."""
        if not self._arranged_stubs:
            yield
            return
        self._call("leave_only_default_stubs", only=True)
        try:
            yield
        finally:
            self._call("leave_only_default_stubs", only=False)

    def assert_all_stubs_used(self) -> None:
        """Raises AssertionError, naming them, for stubs that have answered nothing, and shows what did run."""
        unused = [stub.described for stub in self._arranged_stubs if not stub.used]
        if unused:
            ran = listed(self.execs())
            raise AssertionError(f"nothing matched the stub(s) {', '.join(unused)}; what ran:\n{ran}")
