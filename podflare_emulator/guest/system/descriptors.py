"""Descriptors: out of the way of user code, and closed many at once."""

from __future__ import annotations

import fcntl
import posix
import resource
from collections.abc import Iterable

_FIRST = 1000


def hide(number: int) -> int:
    """Moves a descriptor to a high number: user code finds 3, 4 and 5 free, as in a fresh interpreter."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = _FIRST if soft == resource.RLIM_INFINITY else min(_FIRST, soft - 16)
    hidden = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, lowest)
    posix.close(number)
    return hidden


def close_all(numbers: Iterable[int]) -> None:
    """Closes adjacent descriptors in one call: each of many children has the descriptors of all."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number:
            runs[-1][1] += 1
        else:
            runs.append([number, number + 1])
    for first, end in runs:
        posix.closerange(first, end)
