"""What can go wrong with the processes inside."""


class HostingError(Exception):
    """A process inside could not be started or has ended; the message says which and why."""
