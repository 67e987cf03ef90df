"""A stub's answer: timed output and an exit code. Both the handle and the server read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from podflare_emulator.vocabulary.arguments import is_seconds

Output = str | Sequence[str | float]
"""A string; or a list of strings and numbers: a number is a pause in seconds before what follows."""


class Step(NamedTuple):
    """Lines of one stream, printed after `pause` seconds."""

    pause: float
    stream: Literal["stdout", "stderr"]
    lines: list[str]


@dataclass
class Answer:
    """The output and exit code of an exec or a command, as if it had run.

    Attributes:
        stdout, stderr: A string, or a list of strings and numbers; a number is a pause in seconds: `["Collecting", 0.5,
            "Done"]` prints the second line half a second after the first. A string may have several lines; its last
            newline is optional.
        exit_code: 0 to 255.
    """

    stdout: Output = ""
    stderr: Output = ""
    exit_code: int = 0

    def check(self) -> None:
        """Raises ValueError, naming the field."""
        for name, output in (("stdout", self.stdout), ("stderr", self.stderr)):
            if isinstance(output, str):
                continue
            if not isinstance(output, (list, tuple)) or not all(map(_is_part, output)):
                raise ValueError(
                    f'{name}: expected a string, or a list of strings and seconds such as ["a", 0.5, "b"], '
                    f"got {output!r}"
                )
        if not (type(self.exit_code) is int and 0 <= self.exit_code <= 255):
            raise ValueError(f"exit_code: expected 0 to 255, got {self.exit_code!r}")

    def steps(self, delay: float = 0) -> list[Step]:
        """The output in order of time; the last step comes at the end. `delay`: seconds before the first."""
        said = [*_timed("stdout", self.stdout), *_timed("stderr", self.stderr)]
        said.sort(key=lambda one: one[0])
        steps = []
        before = -delay
        for at, stream, lines in said:
            steps.append(Step(at - before, stream, lines))
            before = at
        return steps


def check_seconds(name: str, value: object) -> None:
    """Raises ValueError."""
    if not is_seconds(value):
        raise ValueError(f"{name}: expected seconds, 0 or more, got {value!r}")


def lines(text: str) -> list[str]:
    """The lines into which a stream of that text is split."""
    return text.removesuffix("\n").split("\n") if text else []


def _timed(
    stream: Literal["stdout", "stderr"], output: Output
) -> Iterator[tuple[float, Literal["stdout", "stderr"], list[str]]]:
    at = 0.0
    for part in [output] if isinstance(output, str) else output:
        if isinstance(part, str):
            yield at, stream, lines(part)
        else:
            at += part
    yield at, stream, []


def _is_part(part: object) -> bool:
    return isinstance(part, str) or is_seconds(part)
