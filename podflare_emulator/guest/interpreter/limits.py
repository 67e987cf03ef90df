"""Kernel limits for a sandbox's processes: set in the guest, and inherited by everything that it starts."""

from __future__ import annotations

import resource

from ..protocol import Message

_OPEN_FILES = 1024
_MOST_OPEN_FILES = 4096  # the kernel's default; a program can raise its limit to this
_MIB, _GIB = 1 << 20, 1 << 30


def impose(ticket: Message) -> None:
    """Sets the limits `ram_mib` and `file_gb` of the ticket; None means no limit.

    Memory means private writable memory. Reserved memory (a thread's arena, a library's mapping) does not count, so the
    limit means what it says. It applies to each process; processes/memory.py limits their sum.
    """
    if ticket["ram_mib"] is not None:
        _lower(resource.RLIMIT_DATA, ticket["ram_mib"] * _MIB)
    if ticket["file_gb"] is not None:
        _lower(resource.RLIMIT_FSIZE, ticket["file_gb"] * _GIB)
    _lower(resource.RLIMIT_NOFILE, _MOST_OPEN_FILES)


class OpenFiles:
    """How many files the user's code may have open: fewer than the guest, which needs some to fork or start bash."""

    def __init__(self) -> None:
        self._users = min(_OPEN_FILES, _hard(resource.RLIMIT_NOFILE))

    def restrict(self) -> None:
        """The user's code is about to run."""
        hard = _hard(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(self._users, hard), hard))

    def relax(self) -> None:
        """It has run, and may have set its own limit, which is kept for its next run."""
        self._users, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _hard(kind: int) -> int:
    return resource.getrlimit(kind)[1]


def _lower(kind: int, limit: int) -> None:
    """Lowers the hard limit too, for good: a sandbox cannot raise that."""
    hard = _hard(kind)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(kind, (limit, limit))
