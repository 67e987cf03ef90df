"""Turns bytes into lines and lines into events, by the contract's rules, and keeps the recent ones."""

from __future__ import annotations

import codecs
import functools
import itertools
import re
from collections import deque
from typing import Literal

from msgspec import Struct

_SCRIPTS = b"/.venv/scripts."
_IN_SCRIPTS = re.compile(re.escape(_SCRIPTS) + rb"[\d/-]*")
_LONGEST_PART = 64  # bytes after `hidden`

EventType = Literal["stdout", "stderr", "exit"]
REPLAYED = 1000  # contract: the recent events of a sandbox, up to this many
_REPLAYED_CHARACTERS = 16 << 20  # in all: events are kept as long as the sandbox lives
LONGEST_LINE = 16 << 20  # bytes; endless output without a newline must not fill the host's memory


class Event(Struct, frozen=True):
    """`data`: a line without its newline, or the exit code. `seq`: from 0, per exec. `ts`: ms since the epoch."""

    type: EventType
    data: str | int
    seq: int
    ts: int


def without(hidden: bytes, data: bytes) -> bytes:
    """Output without `hidden`, the path of the sandbox's directory on the host, which is nobody's business.

    The part below it goes too where it leads to a script that was rewritten to be run (portable/rewrite.py).
    """
    return _paths(hidden).sub(lambda found: b"" if found[1] else b"/", data) if hidden else data


@functools.lru_cache
def _paths(hidden: bytes) -> re.Pattern[bytes]:
    return re.compile(re.escape(hidden) + rb"(?:(/\.venv/scripts\.\d+/(?:-/)*)|/)?")


def unfinished(hidden: bytes, data: bytes) -> int:
    """How many bytes at the end of a piece of output may be a beginning of what `without` removes."""
    if not hidden:
        return 0
    begin = data.rfind(hidden, -len(hidden) - _LONGEST_PART)
    if begin >= 0:
        part = data[begin + len(hidden) :]
        if _SCRIPTS.startswith(part) or _IN_SCRIPTS.fullmatch(part):
            return len(data) - begin
    lengths = range(min(len(hidden) - 1, len(data)), 0, -1)
    return next((length for length in lengths if data.endswith(hidden[:length])), 0)


class Lines:
    """Cuts one stream into lines. Only `\\n` or LONGEST_LINE ends one; bytes that are not UTF-8 become U+FFFD.

    `hidden` is removed from every line (`without`).
    """

    def __init__(self, hidden: bytes = b"") -> None:
        self._hidden = hidden
        self._begun = bytearray()

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        end = data.rfind(b"\n")
        if end < 0:
            self._begun += data
            return self._most() if len(self._begun) >= LONGEST_LINE else []
        whole = bytes(self._begun) + data[:end]
        self._begun = bytearray(data[end + 1 :])
        return self._text(whole).split("\n")

    def _most(self) -> list[str]:
        """The line so far, up to what may be part of a hidden path."""
        last = bytes(self._begun[-2 * len(self._hidden) - _LONGEST_PART :])
        end = len(self._begun) - unfinished(self._hidden, last)
        whole, self._begun = bytes(self._begun[:end]), self._begun[end:]
        return [self._text(whole)]

    def rest(self) -> list[str]:
        """The last line, if it has no newline."""
        whole, self._begun = bytes(self._begun), bytearray()
        return [self._text(whole)] if whole else []

    def _text(self, data: bytes) -> str:
        return codecs.decode(without(self._hidden, data), "utf-8", "replace")


class Journal:
    """A sandbox's output: the events of its execs, and the lines that arrived while none ran."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._characters = 0
        self.background: deque[str] = deque(maxlen=REPLAYED)

    def add(self, events: list[Event]) -> None:
        self._events.extend(events)
        self._characters += weight(events)
        while len(self._events) > REPLAYED or (
            self._characters > _REPLAYED_CHARACTERS and len(self._events) > 1
        ):
            self._characters -= weight([self._events.popleft()])

    def recent(self) -> list[Event]:
        return list(self._events)


def weight(events: list[Event]) -> int:
    """How many characters the events hold."""
    return sum(len(event.data) for event in events if isinstance(event.data, str))


next_number = itertools.count().__next__  # orders a journal's entries: milliseconds are too coarse
