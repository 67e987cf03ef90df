"""Restores a used copy of the base tree, which is cheaper than removing it and making another.

Under the backends that copy, a sandbox costs mostly the making and removing of directories, and most leave few traces.
"""

from __future__ import annotations

import mmap
import os
import posix
import stat
import time

from ..system.process_table import processes
from . import tree
from .contents import copy_metadata

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_MOST_EXTRAS = 50  # in one directory


def is_safe(directory: str) -> bool:
    """Whether we can detect every change in this directory, and every process that might still write in it.

    That takes a /proc, and a file system whose time stamps have fractions of a second and change on writes through a
    shared mapping too (not so on tmpfs). Takes 11 ms.
    """
    probe = f"{directory}/.stamps"
    descriptor = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, b"before")
        with mmap.mmap(descriptor, 0) as mapped:
            _ = mapped[0]
            baseline = tree.now()
            time.sleep(tree.SETTLING / 1e9)
            mapped[0] = ord("B")
            stamp = os.fstat(descriptor).st_ctime_ns
    finally:
        os.close(descriptor)
        os.unlink(probe)
    return bool(processes()) and stamp > baseline and stamp % 1_000_000_000 != 0


def restore(base: int, parent: int, name: str, baseline: int) -> bool:
    """Restores the directory `name` of `parent` to what it was at `baseline`, a copy of `base`; whether it succeeded.

    Removes additional files, and gives directories their metadata back. Gives up, with a part of that done, if
    something of the base tree was changed, replaced or removed, or if there is much to remove. Raises OSError for what
    it may not read. Nobody else may change the tree, which must be in a directory that `is_safe`.

    Args:
        base: a descriptor.
        parent: a descriptor of the directory that `name` is in.
        baseline: a time (ns) from `tree.now()`.
    """
    used = posix.open(name, _DIRECTORY, dir_fd=parent)
    try:
        return _restore(base, used, baseline)
    finally:
        posix.close(used)


def _restore(base: int, used: int, baseline: int) -> bool:
    with posix.scandir(base) as listing:
        originals = [*listing]
    extras: dict[str, posix.DirEntry[str]] = {}
    with posix.scandir(used) as listing:
        for entry in listing:
            extras[entry.name] = entry
            if len(extras) > len(originals) + _MOST_EXTRAS:
                return False
    for original in originals:
        found = extras.pop(original.name, None)
        if found is None or not _is_as_before(original, found, base, used, baseline):
            return False
    if any(entry.is_dir(follow_symlinks=False) for entry in extras.values()):
        return False
    for name in extras:
        posix.unlink(name, dir_fd=used)
    if posix.fstat(used).st_ctime_ns > baseline:
        posix.fchmod(used, 0o700)  # attributes of a read-only directory cannot be removed
        copy_metadata(base, used, posix.fstat(base))
    return True


def _is_as_before(
    original: posix.DirEntry[str], entry: posix.DirEntry[str], base: int, used: int, baseline: int
) -> bool:
    """Whether an entry is unchanged; a directory counts as unchanged if it could be restored."""
    was, status = original.stat(follow_symlinks=False), entry.stat(follow_symlinks=False)
    if stat.S_IFMT(status.st_mode) != stat.S_IFMT(was.st_mode):
        return False
    if not stat.S_ISDIR(was.st_mode):
        return status.st_ctime_ns <= baseline
    source = posix.open(original.name, _DIRECTORY, dir_fd=base)
    try:
        return restore(source, used, entry.name, baseline)
    finally:
        posix.close(source)
