"""What an `Emulator` raises."""


class EmulatorError(RuntimeError):
    """It could not start, or cannot do what it was asked; the message is for its user."""


NOT_RUNNING = "this emulator is not running; start it, or use it in a with block"
