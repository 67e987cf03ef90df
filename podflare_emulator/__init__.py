"""Podflare's API on this machine: `from podflare_emulator import Emulator`.

What is public is what `__all__` names here, and the modules `emulator`, `errors`, `settings` and `stubs`, which have
some of it under the names that it always had. Everything else may change between two releases.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podflare_emulator.handle.emulator import Emulator
    from podflare_emulator.handle.stubs import Answer, StubCall
    from podflare_emulator.vocabulary.errors import EmulatorError
    from podflare_emulator.vocabulary.settings import Mount, Settings, SettingsError

__all__ = ["Answer", "Emulator", "EmulatorError", "Mount", "Settings", "SettingsError", "StubCall"]

_PLACES = {
    "Answer": "vocabulary.answers",
    "Emulator": "handle.emulator",
    "EmulatorError": "vocabulary.errors",
    "Mount": "vocabulary.settings",
    "Settings": "vocabulary.settings",
    "SettingsError": "vocabulary.settings",
    "StubCall": "handle.stubs",
}


def __getattr__(name: str) -> Any:
    """Imports a name on first use: a program that needs a part of the package does not wait for all of it."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
