"""The errors that an `Emulator` raises."""


class EmulatorError(RuntimeError):
    """The emulator could not start, or cannot do what it was asked to; the message says why."""


class SettingsError(EmulatorError, ValueError):
    """The message names the setting, what was given, and what is allowed; it is one line."""


NOT_RUNNING = "this emulator is not running; start it, or use it in a with block"
