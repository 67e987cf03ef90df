"""How the children of a fork get its files: each by a copy, or all by sharing the parent's layers.

Sharing a layer costs next to nothing, whatever is in it. A copy is always possible.
"""

from __future__ import annotations

import posix
from collections.abc import Collection, Iterator
from typing import Literal

from ..files import base
from ..jail.interface import Jail

Way = Literal["copy", "share", "freeze"]
"""What is copied. `copy`: everything that the parent has changed. `share`: only the parent's private layer, over the
same shared layers. `freeze`: nothing, because the private layer is shared too, and the parent gets a new one."""

# Files and bytes: up to here a copy is as fast, and has no after-effects.
_FEW, _LITTLE = 300, 16 << 20
_MOST_COPIED = 100  # files: beyond that, the keeper copies them faster than a guest
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC


def choose(jail: Jail, files: str, *, alone: bool) -> Way:
    """Chooses a way. `freeze` also requires that the process's open resources `can_move`; else: `without_freezing`.

    Args:
        files: "auto", "copy", or "layers" (layers even if there are few files).
        alone: there is no other thread and no other process.
    """
    if files == "copy" or jail.stack is None or jail.changes is None:
        return "copy"
    if alone and _is_worth_it(jail.changes, files) and _shared_memory_is_there():
        return "freeze"
    return without_freezing(jail)


def without_freezing(jail: Jail) -> Way:
    return "share" if jail.stack and jail.stack.depth else "copy"


def has_many(jail: Jail, since: int) -> bool:
    """Whether so many files have changed `since` the sandbox began (ns) that the keeper copies them faster."""
    root = posix.open(jail.root, _DIRECTORY)
    changed = 0
    try:
        for entries, _ in _listings(root, jail.mounts):
            for entry in entries:
                changed += entry.stat(follow_symlinks=False).st_ctime_ns > since
            if changed > _MOST_COPIED:
                return True
    except OSError:  # something in it may not be read, or has vanished
        pass
    finally:
        posix.close(root)
    return False


def _is_worth_it(layer: int, files: str) -> bool:
    """Whether the layer holds enough, and nothing that sharing would change.

    The hard links of a file come apart when it is written in a layer above them. Looking for hard links is the only
    cost for each file in a fork by layers: about 0.5 µs, since only names and inodes are read, no status.
    """
    least_files, least_bytes = (0, 0) if files == "layers" else (_FEW, _LITTLE)
    count = size = listed = 0
    numbers: set[int] = set()
    try:
        for entries, directories in _listings(layer):
            listed += len(entries)
            numbers.update(map(posix.DirEntry.inode, entries))
            if count <= least_files and size <= least_bytes:
                count += len(entries) - directories
                size += sum(entry.stat(follow_symlinks=False).st_blocks * 512 for entry in entries)
        if count <= least_files and size <= least_bytes:
            return False
        return len(numbers) == listed or not _has_links(layer)
    except OSError:  # something in it may not be read
        return False


def _has_links(layer: int) -> bool:
    """Whether a file has several names there. The whiteouts of removed names share one inode, which is not a file's."""
    numbers: set[int] = set()
    for entries, _ in _listings(layer):
        for entry in entries:
            if entry.is_file(follow_symlinks=False) or entry.is_symlink():
                number = entry.inode()
                if number in numbers:
                    return True
                numbers.add(number)
    return False


def _listings(layer: int, skip: Collection[str] = ()) -> Iterator[tuple[list[posix.DirEntry[str]], int]]:
    """For each of its directories: the entries, valid until the next one, and how many of them are directories.

    `skip`: paths of directories that are not entered.
    """
    places = ["."]
    for place in places:  # the list grows meanwhile
        number = posix.open(place, _DIRECTORY, dir_fd=layer)
        try:
            with posix.scandir(number) as listing:
                entries = [*listing]
            directories = [
                f"{place}/{entry.name}" for entry in entries if entry.is_dir(follow_symlinks=False)
            ]
            yield entries, len(directories)
        finally:
            posix.close(number)
        places += [path for path in directories if path[2:] not in skip] if skip else directories


def _shared_memory_is_there() -> bool:
    """Whether /dev/shm still is a directory of the tree under another name: that may have been removed."""
    try:
        seen, own = (posix.stat(path, follow_symlinks=False) for path in ("/dev/shm", base.SHARED_MEMORY))
    except OSError:
        return False
    return (seen.st_dev, seen.st_ino) == (own.st_dev, own.st_ino)
