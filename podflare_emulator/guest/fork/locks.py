"""File locks across a fork (Linux): who opens a file again has to take its locks again.

Nobody else can hold them: in a tree of its own, this process is alone.
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

# Of /proc/self/fdinfo: kind, READ or WRITE, process, inode, first and last byte ("EOF" for all there will be).
_LINE = re.compile(rb"^lock:\s+\d+: (\w+) +\w+ +(\w+) \S+ \S+ (\d+) (\w+)", re.MULTILINE)
_OFD_SETLK = 37


class Lock(NamedTuple):
    """`kind` is the kernel's: POSIX, FLOCK or OFDLCK. `length`: 0 for up to the end, wherever that will be."""

    number: int
    kind: bytes
    exclusive: bool
    start: int
    length: int

    def take(self) -> None:
        """By the descriptor, which leads to another file by now."""
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
    """What this process holds by these descriptors."""
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
