"""Errors of sandboxes, in the terms of `domain`; `api` maps each to an HTTP status."""


class SandboxError(Exception):
    """The message is written for the person who sent the request; it becomes the body's `error`."""


class SandboxNotFound(SandboxError):
    """No such sandbox: it never existed, was destroyed, or was merged into another."""

    def __init__(self, message: str = "sandbox not found") -> None:
        super().__init__(message)


class TerminalNotFound(SandboxError):
    """The sandbox has had no terminal with that id."""

    def __init__(self, message: str = "pty not found") -> None:
        super().__init__(message)


class SpaceNotFound(SandboxError):
    """No such Space: it never existed, was resumed or deleted, or is in another region."""

    def __init__(self, message: str = "space not found") -> None:
        super().__init__(message)


class InvalidRequest(SandboxError):
    """The request is invalid; the message names the field."""


class GuestFailed(SandboxError):
    """The sandbox's interpreter cannot answer: it has ended, or it could not be made."""
