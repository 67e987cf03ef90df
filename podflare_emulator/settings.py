"""The public name of the settings of an `Emulator`."""

from podflare_emulator.vocabulary.settings import Mount, Settings, SettingsError

__all__ = ["Mount", "Settings", "SettingsError"]
