"""Writes files that the author of a test puts into a sandbox: each has a path, a mode, and a descriptor to copy from.

The calls go to `posix`: a backend may have replaced functions of `os`.
"""

from __future__ import annotations

import contextlib
import posix
from collections.abc import Sequence

from ..protocol import Message

_CHUNK = 1 << 20


def write(root: str, files: Sequence[Message], descriptors: Sequence[int]) -> Message:
    """Writes each file below `root` and makes its directories; the answer names the first that cannot be written."""
    try:
        for file, descriptor in zip(files, descriptors, strict=True):
            _write(root.rstrip("/"), file["path"], file["mode"], descriptor)
    except OSError as error:
        return {"written": False, "failed": f"{file['path']}: {error.strerror}"}
    finally:
        for descriptor in descriptors:
            posix.close(descriptor)
    return {"written": True}


def _write(root: str, path: str, mode: int, source: int) -> None:
    make_directories(root, path)
    target = posix.open(root + path, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC, mode)
    try:
        posix.fchmod(target, mode)
        offset = 0  # the source's file offset is shared with all its readers
        while data := posix.pread(source, _CHUNK, offset):
            offset += len(data)
            while data:
                data = data[posix.write(target, data) :]
    finally:
        posix.close(target)


def make_directories(root: str, path: str) -> None:
    for end, character in enumerate(path):
        if character == "/" and end:
            with contextlib.suppress(FileExistsError):
                posix.mkdir(root + path[:end], 0o755)
