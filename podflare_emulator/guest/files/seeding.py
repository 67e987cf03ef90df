"""Writes files that the author of a test puts into a sandbox.

The calls go to `posix`: a backend may have replaced functions of `os`.
"""

from __future__ import annotations

import contextlib
import posix
from collections.abc import Sequence

from ..protocol import Message

_CHUNK = 1 << 20


def write(root: str, files: Sequence[tuple[str, int, int, int]], contents: int) -> Message:
    """Writes files below `root` and makes their directories; the answer names the first that cannot be written.

    Each has a path, a mode, and a start and a size: which bytes of the file `contents` it gets. That is closed.
    """
    try:
        for path, mode, start, size in files:
            _write(root.rstrip("/"), path, mode, contents, range(start, start + size))
    except OSError as error:
        return {"written": False, "failed": f"{path}: {error.strerror}"}
    finally:
        posix.close(contents)
    return {"written": True}


def _write(root: str, path: str, mode: int, source: int, place: range) -> None:
    make_directories(root, path)
    target = posix.open(root + path, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC, mode)
    try:
        posix.fchmod(target, mode)
        while place:
            # The source's file offset is shared with all its readers.
            data = posix.pread(source, min(len(place), _CHUNK), place.start)
            place = place[posix.write(target, data) :]
    finally:
        posix.close(target)


def make_directories(root: str, path: str) -> None:
    for end, character in enumerate(path):
        if character == "/" and end:
            with contextlib.suppress(FileExistsError):
                posix.mkdir(root + path[:end], 0o755)
