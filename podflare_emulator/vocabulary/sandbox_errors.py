"""What can go wrong with a sandbox, in the domain's own words; `api` gives each its HTTP status."""


class SandboxError(Exception):
    """The message is written for the person who sent the request; it becomes the body's `error`."""


class SandboxNotFound(SandboxError):
    """No such sandbox lives: it never was, it was destroyed, or it was merged away."""

    def __init__(self, message: str = "sandbox not found") -> None:
        super().__init__(message)


class TerminalNotFound(SandboxError):
    """The sandbox has had no terminal of that id."""

    def __init__(self, message: str = "pty not found") -> None:
        super().__init__(message)


class SpaceNotFound(SandboxError):
    """No such Space is there: it never was, it was resumed, deleted, or lies in another region."""

    def __init__(self, message: str = "space not found") -> None:
        super().__init__(message)


class InvalidRequest(SandboxError):
    """The request makes no sense; the message names the field."""


class GuestFailed(SandboxError):
    """The sandbox's interpreter cannot answer: it has ended, or it could not be made."""
