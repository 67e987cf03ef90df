"""Results as a model reads them."""

from __future__ import annotations

from dataclasses import replace

from podflare.types import ExecResult

MAX_OUTPUT = 20_000
"""Characters of stdout, and of stderr, that a model is given where nothing else is said."""

INTERRUPTED = 124
"""The exit code of code that was interrupted, as that of the command `timeout`."""


def cut(text: str, limit: int | None) -> str:
    """The beginning and the end of a text of more than `limit` characters, with a note of what is missing between."""
    if limit is None or len(text) <= limit:
        return text
    head = limit // 2
    missing = len(text) - limit
    note = f"[{missing} characters cut here: print less, or write to a file and read parts of it]"
    return f"{text[:head]}\n{note}\n{text[head + missing :]}"


def cut_result(result: ExecResult, limit: int | None) -> ExecResult:
    return replace(result, stdout=cut(result.stdout, limit), stderr=cut(result.stderr, limit))


def with_note(result: ExecResult, note: str, exit_code: int | None = None) -> ExecResult:
    """A result whose stderr ends in a line that the sandbox has not written."""
    stderr = f"{result.stderr}\n{note}" if result.stderr else note
    return ExecResult(result.stdout, stderr, result.exit_code if exit_code is None else exit_code)


def text_of(result: ExecResult) -> str:
    """A result in one text."""
    return f"stdout:\n{result.stdout}\nstderr:\n{result.stderr}\nexit_code: {result.exit_code}"


def fields_of(result: ExecResult) -> dict[str, str | int]:
    """A result as an object of JSON."""
    return {"stdout": result.stdout, "stderr": result.stderr, "exit_code": result.exit_code}
