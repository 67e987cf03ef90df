"""What guests are given: files, and a table of stubbed commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from podflare_emulator.guest.protocol import Message


class File(NamedTuple):
    """A file to write: absolute path in the sandbox, permission bits, and where its bytes are in the contents."""

    path: str
    mode: int
    start: int
    size: int


class Contents(Protocol):
    """The bytes of many files; its descriptor is open as long as somebody refers to it."""

    def fileno(self) -> int: ...


class Files(NamedTuple):
    """Files to write, all with the same contents."""

    entries: Sequence[File]
    contents: Contents


class CommandTable(Struct, frozen=True):
    """The stubbed commands of a sandbox and their answers; see guest/interpreter/commands.py.

    `version` distinguishes one table from another.
    """

    version: int
    entries: Sequence[Message]


NO_COMMANDS = CommandTable(0, ())
