"""Podflare's API on this machine: `from podflare_emulator import Emulator`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podflare_emulator.emulator import Emulator
    from podflare_emulator.errors import EmulatorError

__all__ = ["Emulator", "EmulatorError"]


def __getattr__(name: str) -> Any:
    """Imports them when they are asked for: whoever needs only a part of the package must not wait for all of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from podflare_emulator import emulator

    return getattr(emulator, name)
