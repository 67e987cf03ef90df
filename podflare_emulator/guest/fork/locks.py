"""File locks across a fork (Linux): a process that opens a file again has to take its locks again.

Nobody else can hold them, because this process is alone in its tree.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import struct
import sys
from collections.abc import Iterable
from typing import NamedTuple

# From /proc/self/fdinfo: kind, READ or WRITE, first and last byte ("EOF": up to the end, however far it grows).
_LINE = re.compile(rb"^lock:\s+\d+: (\w+) +\w+ +(\w+) \S+ \S+ (\d+) (\w+)", re.MULTILINE)
_OFD_SETLK = 37


class Lock(NamedTuple):
    """`kind` is the kernel's name: POSIX, FLOCK or OFDLCK. `length` 0: up to the end, however far the file grows."""

    number: int
    kind: bytes
    exclusive: bool
    start: int
    length: int

    def take(self) -> None:
        """Takes the lock again through the same descriptor, which now leads to another file."""
        with contextlib.suppress(OSError):  # a useless descriptor
            if self.kind == b"FLOCK":
                fcntl.flock(self.number, (fcntl.LOCK_EX if self.exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            elif self.kind in (b"POSIX", b"OFDLCK"):
                command = fcntl.F_SETLK if self.kind == b"POSIX" else _OFD_SETLK
                kind = fcntl.F_WRLCK if self.exclusive else fcntl.F_RDLCK
                fcntl.fcntl(
                    self.number,
                    command,
                    struct.pack("hhqqi4x", kind, os.SEEK_SET, self.start, self.length, 0),
                )


def record(numbers: Iterable[int]) -> list[Lock]:
    """The locks that this process holds through these descriptors."""
    if sys.platform != "linux":
        return []
    found = []
    for number in numbers:
        with contextlib.suppress(OSError), io.FileIO(f"/proc/self/fdinfo/{number}") as file:
            for kind, access, start, end in _LINE.findall(file.readall()):
                first = int(start)
                length = 0 if end == b"EOF" else int(end) + 1 - first
                found.append(Lock(number, kind, access == b"WRITE", first, length))
    return found
