"""A public name of what an `Emulator` can be told when it is made."""

from podflare_emulator.vocabulary.settings import Mount, Settings, SettingsError

__all__ = ["Mount", "Settings", "SettingsError"]
