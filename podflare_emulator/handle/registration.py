"""Lets the handles of stubs and faults find their entry in the emulator by its number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from podflare_emulator.vocabulary.errors import EmulatorError

_Entry = TypeVar("_Entry")


def entry_of(number: int, of_all: Iterable[tuple[int, _Entry]], described: str) -> _Entry:
    """The emulator's entry with this number. Raises EmulatorError once a reset has removed it."""
    for one, what in of_all:
        if one == number:
            return what
    raise EmulatorError(f"{described} is gone: the emulator was reset since")
