"""Emulators of a suite's own, as far as the machine has what they need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from podflare_emulator import Emulator, EmulatorError


@contextmanager
def serving(isolation: str = "auto", **settings: Any) -> Iterator[Emulator]:
    """Inside, it serves. Where this isolation cannot be had the test is skipped; portable can be had everywhere."""
    emulator = Emulator(isolation=isolation, **settings)
    try:
        emulator.start()
    except EmulatorError as error:
        if isolation == "portable":
            raise
        pytest.skip(str(error))
    try:
        yield emulator
    finally:
        emulator.stop()
