"""Files to be written in a sandbox: however many they are, one descriptor has the bytes of all."""

from __future__ import annotations

import os
import sys
import tempfile
import weakref
from collections.abc import Sequence
from typing import NamedTuple


class File(NamedTuple):
    """Absolute path in the sandbox, permission bits, and where its bytes are in the contents."""

    path: str
    mode: int
    start: int
    size: int


class Files(NamedTuple):
    """All with the same contents."""

    entries: Sequence[File]
    contents: Contents


class Contents:
    """Bytes in memory, which grow. `descriptor` is closed with the last reference to this object."""

    def __init__(self) -> None:
        self.descriptor = _in_memory()
        self._size = 0
        weakref.finalize(self, os.close, self.descriptor)

    def add(self, path: str, mode: int, data: bytes) -> File:
        start = self._size
        self._size += len(data)
        left = memoryview(data)
        while left:
            left = left[os.pwrite(self.descriptor, left, self._size - len(left)) :]
        return File(path, mode, start, len(data))


def _in_memory() -> int:
    if sys.platform == "linux":
        return os.memfd_create("podflare-files")
    with tempfile.TemporaryFile(buffering=0) as file:  # has no name, and is gone with its last descriptor
        return os.dup(file.fileno())
