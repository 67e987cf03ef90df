"""`emulator.stub(...)`: answers to code that a test does not want to run."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from podflare_emulator.errors import EmulatorError


@dataclass(frozen=True)
class Stub:
    """One stub, to ask how often it has answered."""

    described: str
    _number: int
    _counts: Callable[[], list[tuple[int, int]]]

    @property
    def used(self) -> int:
        """Raises EmulatorError once a reset has forgotten it."""
        counts = dict(self._counts())
        if self._number not in counts:
            raise EmulatorError(f"the stub {self.described} is gone: the emulator was reset since")
        return counts[self._number]


def describe(match: str | re.Pattern[str], language: str | None) -> str:
    what = repr(match) if isinstance(match, str) else f"re.compile({match.pattern!r})"
    return f"{what} ({language})" if language else what


def arguments(match: str | re.Pattern[str], **answer: Any) -> dict[str, Any]:
    """As the control API takes them. Raises EmulatorError."""
    if not isinstance(match, (str, re.Pattern)) or not (match if isinstance(match, str) else match.pattern):
        raise EmulatorError(
            f"stub: expected a part of the code, or a compiled regular expression, got {match!r}"
        )
    if answer["language"] not in (None, "python", "bash"):
        raise EmulatorError(f"stub: language: expected python or bash, got {answer['language']!r}")
    times = answer["times"]
    if times is not None and times < 1:
        raise EmulatorError(f"stub: times: expected 1 or more, got {times}")
    if isinstance(match, str):
        return {"pattern": re.escape(match), "flags": 0, **answer}
    return {"pattern": match.pattern, "flags": int(match.flags), **answer}
