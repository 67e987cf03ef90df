"""Files that a test puts into every sandbox when it is created."""

from __future__ import annotations

import os
import sys
import tempfile
import weakref

from podflare_emulator.hosting.guests.orders import File, Files


class Seeds:
    """Keeps contents in memory, and passes them to a sandbox as one descriptor, however many and large they are."""

    def __init__(self) -> None:
        self._entries: dict[str, File] = {}
        self._contents: _Contents | None = None

    @property
    def files(self) -> Files | None:
        """None if there are none. The result stays usable after `clear`."""
        return Files([*self._entries.values()], self._contents) if self._contents else None

    def add(self, path: str, mode: int, data: bytes) -> None:
        """For all sandboxes created from now on. A second file with the same path replaces the first."""
        self._contents = self._contents or _Contents()
        self._entries.pop(path, None)
        self._entries[path] = File(path, mode, self._contents.add(data), len(data))

    def clear(self) -> None:
        self._entries.clear()
        self._contents = None


class _Contents:
    """Bytes in memory, which grow. The descriptor is closed with the last reference to this object."""

    def __init__(self) -> None:
        self._descriptor = _in_memory()
        self._size = 0
        weakref.finalize(self, os.close, self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def add(self, data: bytes) -> int:
        """Returns where they begin."""
        start = self._size
        self._size += len(data)
        left = memoryview(data)
        while left:
            left = left[os.pwrite(self._descriptor, left, self._size - len(left)) :]
        return start


def _in_memory() -> int:
    if sys.platform == "linux":
        return os.memfd_create("podflare-seeds")
    with tempfile.TemporaryFile(buffering=0) as file:  # has no name, and is gone with its last descriptor
        return os.dup(file.fileno())
