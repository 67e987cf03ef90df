"""What has happened in an emulator, in order: execs, forks and merges, for the author of a test to ask about."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from podflare_emulator.domain.events import Event, now, weight

# An emulator may run for days; a test asks about its own few execs.
_ENTRIES = 2_000
_CHARACTERS = 1 << 16  # of the code and of the output of one exec


@dataclass
class Exec:
    """One exec, as far as it has come. Times in ms since the epoch. `truncated`: code or output was too long.

    `stub`: the one that answered it, by name. `error`: why it was refused, once it had its turn.
    """

    sandbox: str
    parent: str | None
    language: str
    code: str
    started: int = field(default_factory=now)
    ended: int | None = None
    events: list[Event] = field(default_factory=list)
    truncated: bool = False
    stub: str | None = None
    error: str | None = None
    _characters: int = 0

    def add(self, events: list[Event]) -> None:
        """Keeps them, or of a huge output its beginning; the exit event always."""
        self._characters += weight(events)
        if self._characters > _CHARACTERS:
            self.truncated = True
            events = [event for event in events if event.type == "exit"]
        self.events += events
        if events and events[-1].type == "exit":
            self.ended = events[-1].ts

    def fail(self, error: str) -> None:
        self.error = error
        self.ended = now()

    def described(self) -> dict[str, Any]:
        return {
            "sandbox": self.sandbox,
            "parent": self.parent,
            "language": self.language,
            "code": self.code,
            "started": self.started,
            "ended": self.ended,
            "events": [{"type": e.type, "data": e.data, "seq": e.seq, "ts": e.ts} for e in self.events],
            "truncated": self.truncated,
            "stub": self.stub,
            "error": self.error,
        }


class Ledger:
    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._execs: deque[Exec] = deque(maxlen=_ENTRIES)
        self._forks: deque[tuple[str, list[str]]] = deque(maxlen=_ENTRIES)
        self._merges: deque[tuple[str, str]] = deque(maxlen=_ENTRIES)

    def exec(self, sandbox: str, language: str, code: str) -> Exec:
        """An exec that starts now; it is told its events."""
        entry = Exec(sandbox, self._parents.get(sandbox), language, code[:_CHARACTERS])
        entry.truncated = len(code) > _CHARACTERS
        self._execs.append(entry)
        return entry

    def fork(self, parent: str, children: Iterable[str]) -> None:
        children = list(children)
        self._parents.update(dict.fromkeys(children, parent))
        self._forks.append((parent, children))

    def merge(self, parent: str, winner: str) -> None:
        self._merges.append((parent, winner))

    def execs(self) -> list[dict[str, Any]]:
        return [entry.described() for entry in self._execs]

    def forks(self) -> list[dict[str, Any]]:
        return [{"parent": parent, "children": children} for parent, children in self._forks]

    def merges(self) -> list[dict[str, Any]]:
        return [{"parent": parent, "winner": winner} for parent, winner in self._merges]

    def clear(self) -> None:
        for entries in (self._execs, self._forks, self._merges):
            entries.clear()

    def forget(self, sandbox: str) -> None:
        """Nobody can fork or run it any more."""
        self._parents.pop(sandbox, None)
