"""Files that a test puts into every sandbox when it is created."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile

from podflare_emulator.hosting.guest import File


class Seeds:
    """Keeps contents in memory, and passes them to a sandbox as descriptors, however large they are."""

    def __init__(self) -> None:
        self._files: dict[str, File] = {}

    @property
    def files(self) -> list[File]:
        return list(self._files.values())

    def add(self, path: str, mode: int, data: bytes) -> None:
        """For all sandboxes created from now on. A second file with the same path replaces the first."""
        replaced = self._files.pop(path, None)
        self._files[path] = File(path, mode, _in_memory(data))
        if replaced:
            os.close(replaced.content)

    def clear(self) -> None:
        for file in self._files.values():
            os.close(file.content)
        self._files.clear()


def _in_memory(data: bytes) -> int:
    if sys.platform == "linux":
        descriptor = os.memfd_create("podflare-seed")
    else:
        with tempfile.TemporaryFile(buffering=0) as file:  # has no name, and is gone with its last descriptor
            descriptor = os.dup(file.fileno())
    with contextlib.closing(os.fdopen(descriptor, "wb", closefd=False)) as file:
        file.write(data)
    return descriptor
