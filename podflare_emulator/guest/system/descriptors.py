"""Keeps our descriptors in a guest out of the way: user code finds 3, 4 and 5 free, as in a fresh interpreter."""

from __future__ import annotations

import fcntl
import posix
import resource

_FIRST = 1000


def hide(number: int) -> int:
    """Moves a descriptor to a high number."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = _FIRST if soft == resource.RLIM_INFINITY else min(_FIRST, soft - 16)
    hidden = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, lowest)
    posix.close(number)
    return hidden
