"""From bytes to lines to events, by the contract's rules, and what is remembered of them."""

from __future__ import annotations

import codecs
import functools
import itertools
import re
from collections import deque
from dataclasses import dataclass
from typing import Literal

EventType = Literal["stdout", "stderr", "exit"]
REPLAYED = 1000  # contract: the recent events of a sandbox, up to this many
_REPLAYED_CHARACTERS = 16 << 20  # and no more than this in all: they are kept as long as the sandbox lives
LONGEST_LINE = 16 << 20  # bytes; what never ends its line must not fill the memory of whoever tests it


@dataclass(frozen=True, slots=True)
class Event:
    """`data`: a line without its newline, or the exit code. `seq`: from 0, per exec. `ts`: ms since the epoch."""

    type: EventType
    data: str | int
    seq: int
    ts: int


def without(hidden: bytes, data: bytes) -> bytes:
    """Output with `hidden` taken out: where the sandbox's directory lies on the host is nobody's business.

    What lies right below it goes as well where that is a script that was rewritten to be run (portable/rewrite.py).
    """
    return _paths(hidden).sub(lambda found: b"" if found[1] else b"/", data) if hidden else data


@functools.lru_cache
def _paths(hidden: bytes) -> re.Pattern[bytes]:
    return re.compile(re.escape(hidden) + rb"(?:(/\.venv/scripts\.\d+/(?:-/)*)|/)?")


class Lines:
    """Cuts one stream into lines. Only `\\n` ends one, or LONGEST_LINE; bytes that are not UTF-8 become U+FFFD.

    `hidden` is taken out of every line (`without`).
    """

    def __init__(self, hidden: bytes = b"") -> None:
        self._hidden = hidden
        self._begun = bytearray()

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        end = data.rfind(b"\n")
        if end < 0:
            self._begun += data
            return self.rest() if len(self._begun) >= LONGEST_LINE else []
        whole = bytes(self._begun) + data[:end]
        self._begun = bytearray(data[end + 1 :])
        return self._text(whole).split("\n")

    def rest(self) -> list[str]:
        """The last line, if it has no newline."""
        whole, self._begun = bytes(self._begun), bytearray()
        return [self._text(whole)] if whole else []

    def _text(self, data: bytes) -> str:
        return codecs.decode(without(self._hidden, data), "utf-8", "replace")


class Journal:
    """What a sandbox has said: the events of its execs, and the lines that arrived while none ran."""

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


next_number = itertools.count().__next__  # in a journal: milliseconds cannot tell what came first
