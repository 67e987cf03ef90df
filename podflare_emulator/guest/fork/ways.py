"""How the children of a fork come by its files: each by a copy, or all by the layers that the parent stands on.

A layer costs next to nothing, whatever is in it. A copy has no conditions.
"""

from __future__ import annotations

import posix
from collections.abc import Iterator
from typing import Literal

from ..files import base
from ..jail.interface import Jail

Way = Literal["copy", "share", "freeze"]
"""`copy`: all that the parent has changed; `share`: only what it has changed in the layer of its own, over the same
layers; `freeze`: nothing, for that layer is shared as well, and the parent gets a new one."""

# Files, and bytes in them: up to here a copy is as quick, and has no after-effects.
_FEW, _LITTLE = 300, 16 << 20
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC


def choose(jail: Jail, files: str, *, alone: bool) -> Way:
    """`freeze` only if what the process holds `can_move`; what else there is, `without_freezing` tells.

    Args:
        files: "auto", "copy", or "layers" for layers however little there is.
        alone: there is no thread, and no process besides.
    """
    if files == "copy" or jail.stack is None or jail.changes is None:
        return "copy"
    if alone and _is_worth_it(jail.changes, files) and _shared_memory_is_there():
        return "freeze"
    return without_freezing(jail)


def without_freezing(jail: Jail) -> Way:
    return "share" if jail.stack and jail.stack.depth else "copy"


def _is_worth_it(layer: int, files: str) -> bool:
    """Whether the layer holds enough, and nothing that sharing would change.

    The names of a file with several come apart when it is written to in a layer over that in which they are. Looking
    for them is what a fork by layers takes for each file, some 0.5 µs: no status is read, only names and inodes.
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
    except OSError:  # what may not be looked at
        return False


def _has_links(layer: int) -> bool:
    """Whether a file has several names there. Names that were removed have one inode together, which is no file's."""
    numbers: set[int] = set()
    for entries, _ in _listings(layer):
        for entry in entries:
            if entry.is_file(follow_symlinks=False) or entry.is_symlink():
                number = entry.inode()
                if number in numbers:
                    return True
                numbers.add(number)
    return False


def _listings(layer: int) -> Iterator[tuple[list[posix.DirEntry[str]], int]]:
    """Of each of its directories: the entries, which are good until the next, and how many are directories."""
    places = ["."]
    for place in places:  # which grows
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
        places += directories


def _shared_memory_is_there() -> bool:
    """/dev/shm is a directory of the tree under another name, unless that was removed."""
    try:
        seen, own = (posix.stat(path, follow_symlinks=False) for path in ("/dev/shm", base.SHARED_MEMORY))
    except OSError:
        return False
    return (seen.st_dev, seen.st_ino) == (own.st_dev, own.st_ino)
