"""The code that a sandbox's interpreter has run, so that another can run it again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from podflare_emulator.hosting.guests.orders import NO_COMMANDS, CommandTable
from podflare_emulator.hosting.guests.output import Stream


class Digest:
    """A hash of an exec's output, one for each stream, since the order between two pipes is not fixed."""

    def __init__(self) -> None:
        self._streams = {"stdout": hashlib.blake2b(), "stderr": hashlib.blake2b()}

    def feed(self, stream: Stream, data: bytes) -> None:
        self._streams[stream].update(data)

    def value(self) -> bytes:
        return b"".join(stream.digest() for stream in self._streams.values())


class Call(Struct, frozen=True):
    """One Python exec and how it ended.

    `commands`: those that stubs answered. `interrupted`: its client went away, so it is unknown how far it got.
    """

    code: str
    commands: CommandTable
    exit_code: int
    printed: bytes
    interrupted: bool


class History:
    """The Python execs of one machine from its beginning, including those of the machines it was forked from."""

    def __init__(self, calls: tuple[Call, ...] = ()) -> None:
        self._calls = [*calls]

    def add(self, call: Call) -> None:
        self._calls.append(call)

    def described(self) -> list[dict[str, Any]]:
        """In a form for JSON; `read` reverses it."""
        return [
            {
                "code": call.code,
                "commands": [*call.commands.entries],
                "exit_code": call.exit_code,
                "printed": call.printed.hex(),
                "interrupted": call.interrupted,
            }
            for call in self._calls
        ]

    @classmethod
    def read(cls, described: list[dict[str, Any]], versions: Iterator[int]) -> History:
        """`versions`: numbers that no table of commands has used."""
        return cls(
            tuple(
                Call(
                    one["code"],
                    CommandTable(next(versions), one["commands"]) if one["commands"] else NO_COMMANDS,
                    one["exit_code"],
                    bytes.fromhex(one["printed"]),
                    one["interrupted"],
                )
                for one in described
            )
        )

    def copy(self) -> History:
        return History(tuple(self._calls))

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)
