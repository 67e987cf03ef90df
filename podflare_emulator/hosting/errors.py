"""The error that this room raises."""


class HostingError(Exception):
    """A process inside could not be started, refused a request, or has ended; the message says which and why."""
