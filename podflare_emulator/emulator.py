"""A public name of `podflare_emulator.Emulator`."""

from podflare_emulator.handle.emulator import Emulator
from podflare_emulator.vocabulary.errors import EmulatorError

__all__ = ["Emulator", "EmulatorError"]
