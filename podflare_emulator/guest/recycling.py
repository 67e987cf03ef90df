"""A copy of the base tree that a sandbox has used, made one again: cheaper than removing it and making another.

Making and removing directories is what a sandbox costs under the backends that copy; most sandboxes leave few traces.
"""

from __future__ import annotations

import posix
import stat

from .contents import copy_metadata

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_MOST_EXTRAS = 50  # in one directory


def restore(base: int, parent: int, name: str, baseline: int) -> bool:
    """Whether the directory `name` of `parent` is now what it was at `baseline`: a copy of the directory `base`.

    Takes away what lies in it besides, and gives directories their metadata back. Gives up, having done a part of that,
    where something of the base tree was changed, replaced or removed, or where there is much to take away. Raises
    OSError where it may not look. Nobody else may change the tree.

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
    with posix.scandir(used) as listing:
        extras = {entry.name: entry for entry in listing}
    with posix.scandir(base) as listing:
        originals = [*listing]
    for original in originals:
        entry = extras.pop(original.name, None)
        if entry is None or not _is_as_before(original, entry, base, used, baseline):
            return False
    if len(extras) > _MOST_EXTRAS or any(entry.is_dir(follow_symlinks=False) for entry in extras.values()):
        return False
    for name in extras:
        posix.unlink(name, dir_fd=used)
    if posix.fstat(used).st_ctime_ns > baseline:
        copy_metadata(base, used, posix.fstat(base))
    return True


def _is_as_before(
    original: posix.DirEntry[str], entry: posix.DirEntry[str], base: int, used: int, baseline: int
) -> bool:
    """A directory is, when it could be restored."""
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
