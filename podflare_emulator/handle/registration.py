"""What the handles of arranged things, stubs and faults, ask the emulator by their number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from podflare_emulator.vocabulary.errors import EmulatorError

_Entry = TypeVar("_Entry")


def entry_of(number: int, of_all: Iterable[tuple[int, _Entry]], described: str) -> _Entry:
    """What the emulator says of this one. Raises EmulatorError once a reset has forgotten it."""
    for one, what in of_all:
        if one == number:
            return what
    raise EmulatorError(f"{described} is gone: the emulator was reset since")
