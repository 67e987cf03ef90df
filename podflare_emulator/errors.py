"""A public name of what an `Emulator` raises."""

from podflare_emulator.vocabulary.errors import EmulatorError

__all__ = ["EmulatorError"]
