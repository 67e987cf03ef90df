"""Descriptors of ours in a guest: out of user code's way, which finds 3, 4, 5 free as in a fresh interpreter."""

from __future__ import annotations

import fcntl
import posix
import resource

_FIRST = 1000


def hide(number: int) -> int:
    """Moves a descriptor up there."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = _FIRST if soft == resource.RLIM_INFINITY else min(_FIRST, soft - 16)
    hidden = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, lowest)
    posix.close(number)
    return hidden
