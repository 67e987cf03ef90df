"""The record of an emulator, in order: execs, forks and merges, and the lives of its sandboxes.

A test can query it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from podflare_emulator.domain.events import Event, next_number, weight
from podflare_emulator.vocabulary.clock import machine_now

# An emulator may run for days, but a test only asks about its own few execs.
_ENTRIES = 2_000
_CHARACTERS = 1 << 16  # of the code and of the output of one exec


class Exec(Struct):
    """One exec, finished or running. Times in ms since the epoch. `truncated`: code or output was too long.

    `stub`: the name of the stub that answered it. `commands`: those that stubs answered, with their arguments.
    `error`: why it was refused, once it had its turn.
    """

    sandbox: str
    parent: str | None
    language: str
    code: str
    started: int
    now: Callable[[], int] = machine_now
    ended: int | None = None
    events: list[Event] = field(default_factory=list)
    truncated: bool = False
    stub: str | None = None
    commands: list[list[str]] = field(default_factory=list)
    error: str | None = None
    number: int = field(default_factory=next_number)
    _characters: int = 0

    def add(self, events: list[Event]) -> None:
        """Keeps the events; of huge output, the beginning and the exit event."""
        left = _CHARACTERS - self._characters
        self._characters += weight(events) + len(events)  # counts newlines: empty lines take room too
        if self._characters > _CHARACTERS:
            self.truncated = True
            events = _beginning(events, left)
        self.events += events
        if events and events[-1].type == "exit":
            self.ended = events[-1].ts

    def fail(self, error: str) -> None:
        self.error = error
        self.ended = self.now()

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
            "commands": self.commands,
            "error": self.error,
            "number": self.number,
        }


def _beginning(events: list[Event], characters: int) -> list[Event]:
    kept = []
    for event in events:
        if not isinstance(event.data, str):
            kept.append(event)
        elif characters > 0:
            kept.append(replace(event, data=event.data[:characters]))
            characters -= len(event.data) + 1
    return kept


class Life(Struct):
    """One sandbox, from its creation. `reason`: how its interpreter died, or why its time was over.

    `into`: the id that its machine has now. `space`: the Space that it was frozen into. `resumed`: the Space that it
    was resumed from.
    """

    sandbox: str
    parent: str | None
    template: str
    created: int
    ended: int | None = None
    state: Literal["open", "closed", "died", "merged", "expired", "frozen"] = "open"
    reason: str | None = None
    into: str | None = None
    execs: int = 0
    space: str | None = None
    resumed: str | None = None


class Ledger:
    def __init__(self, now: Callable[[], int] = machine_now) -> None:
        self._now = now
        self._lives: dict[str, Life] = {}
        # Sandboxes that were open at the last `clear`, and to which nothing has happened since.
        self._earlier: dict[str, Life] = {}
        self._execs: deque[Exec] = deque(maxlen=_ENTRIES)
        self._forks: deque[dict[str, Any]] = deque(maxlen=_ENTRIES)
        self._merges: deque[dict[str, Any]] = deque(maxlen=_ENTRIES)

    def exec(self, sandbox: str, language: str, code: str) -> Exec:
        """Records an exec that starts now; pass its events to the result's `add`."""
        life = self._life(sandbox)
        life.execs += 1
        entry = Exec(sandbox, life.parent, language, code[:_CHARACTERS], self._now(), self._now)
        entry.truncated = len(code) > _CHARACTERS
        self._execs.append(entry)
        return entry

    def create(self, sandbox: str, template: str, space: str | None = None) -> None:
        """`space`: the one that it was resumed from."""
        self._add(Life(sandbox, None, template, self._now(), resumed=space))

    def fork(self, parent: str, children: Iterable[str]) -> None:
        children = list(children)
        template = self._life(parent).template
        for child in children:
            self._add(Life(child, parent, template, self._now()))
        self._forks.append(
            {"parent": parent, "children": children, "at": self._now(), "number": next_number()}
        )

    def merge(self, parent: str, winner: str) -> None:
        self._life(parent)
        life = self._life(winner)
        life.state, life.into, life.ended = "merged", parent, self._now()
        self._merges.append({"parent": parent, "winner": winner, "at": self._now(), "number": next_number()})

    def end(self, sandbox: str, died: str | None = None) -> None:
        """The sandbox was destroyed; `died`: how its interpreter had ended before that, if it had."""
        life = self._life(sandbox)
        life.state, life.reason, life.ended = "died" if died else "closed", died, self._now()

    def expire(self, sandbox: str, reason: str, space: str | None = None) -> None:
        """The sandbox's time was over; `space`: the one that it was frozen into."""
        life = self._life(sandbox)
        life.state, life.reason, life.ended = "frozen" if space else "expired", reason, self._now()
        life.space = space

    def absence(self, sandbox: str) -> str:
        """The error message for a sandbox that does not exist."""
        life = self._lives.get(sandbox)
        if life is None:
            return f"sandbox {sandbox} not found: no sandbox has had that id since the last reset"
        became = "was destroyed"
        if life.into:
            became = f"was merged into {life.into}; use that one"
        elif life.state in ("expired", "frozen"):
            into = f" into {life.space}" if life.space else ""
            became = f"{'was frozen' if life.space else 'has ended'}{into} ({life.reason})"
        return f"sandbox {sandbox} not found: it {became}"

    def lives(self) -> list[dict[str, Any]]:
        """The life of every sandbox that something has happened to, oldest first."""
        return [asdict(life) for life in self._lives.values()]

    def execs(self) -> list[dict[str, Any]]:
        return [entry.described() for entry in self._execs]

    def forks(self) -> list[dict[str, Any]]:
        return [*self._forks]

    def merges(self) -> list[dict[str, Any]]:
        return [*self._merges]

    def clear(self) -> None:
        lives = {**self._earlier, **self._lives}
        self._earlier = {
            life.sandbox: replace(life, execs=0) for life in lives.values() if life.ended is None
        }
        self._lives = {}
        for entries in (self._execs, self._forks, self._merges):
            entries.clear()

    def _life(self, sandbox: str) -> Life:
        if sandbox not in self._lives:
            self._add(self._earlier.pop(sandbox))
        return self._lives[sandbox]

    def _add(self, life: Life) -> None:
        self._lives[life.sandbox] = life
        if len(self._lives) > _ENTRIES:
            ended = (sandbox for sandbox, life in self._lives.items() if life.ended is not None)
            self._lives.pop(next(ended, ""), None)
