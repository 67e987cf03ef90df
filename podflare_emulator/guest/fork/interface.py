"""What a fork, and what follows another guest, asks of a guest."""

from __future__ import annotations

from typing import Protocol

from ..jail.interface import Jail
from ..protocol import Connection


class Repl(Protocol):
    def forget_interrupts(self) -> None:
        """Drops interrupts that have arrived: they were meant for the parent."""


class Commands(Protocol):
    def forget(self, root: str) -> None:
        """Call it when the tree has changed: it may no longer hold what was put there."""


class Guest(Protocol):
    """The part of a guest that a fork uses."""

    jail: Jail
    connection: Connection
    out: int
    err: int
    baseline: int
    pid: int
    has_started: bool

    @property
    def repl(self) -> Repl: ...

    @property
    def commands(self) -> Commands: ...

    @property
    def hidden(self) -> tuple[int, ...]:
        """Descriptors that are not the user's."""

    def flush(self) -> None:
        """Flushes its output."""

    def announce(self) -> None:
        """Tells the host that it is ready."""
