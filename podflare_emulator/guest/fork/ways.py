"""How the children of a fork come by its files: each by a copy, or all by the layers that the parent stands on.

A layer costs next to nothing, whatever is in it. A copy has no conditions.
"""

from __future__ import annotations

import posix
from typing import Literal

from ..files import base
from ..jail.interface import Jail

Way = Literal["copy", "share", "freeze"]
"""`copy`: all that the parent has changed; `share`: only what it has changed in the layer of its own, over the same
layers; `freeze`: nothing, for that layer is shared as well, and the parent gets a new one."""

# Files, and bytes in them: up to here a copy is as quick, and has no after-effects.
_FEW, _LITTLE = 300, 16 << 20


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

    The names of a file with several come apart when it is written to in a layer over that in which they are.
    """
    least_files, least_bytes = (0, 0) if files == "layers" else (_FEW, _LITTLE)
    count = size = 0
    numbers: list[int] = []
    places = [f"/proc/self/fd/{layer}"]
    try:
        for place in places:  # which grows
            with posix.scandir(place) as listing:
                entries = [*listing]
            directories = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
            places += directories
            numbers += [entry.inode() for entry in entries]
            if count <= least_files and size <= least_bytes:
                count += len(entries) - len(directories)
                size += sum(entry.stat(follow_symlinks=False).st_blocks * 512 for entry in entries)
        if count <= least_files and size <= least_bytes:
            return False
        return len({*numbers}) == len(numbers) or not _has_links(places)
    except OSError:  # what may not be looked at
        return False


def _has_links(places: list[str]) -> bool:
    """Whether a file has several names. Names that were removed have one inode together, which is no file's."""
    for place in places:
        with posix.scandir(place) as listing:
            for entry in listing:
                named = entry.is_file(follow_symlinks=False) or entry.is_symlink()
                if named and entry.stat(follow_symlinks=False).st_nlink > 1:
                    return True
    return False


def _shared_memory_is_there() -> bool:
    """/dev/shm is a directory of the tree under another name, unless that was removed."""
    try:
        seen, own = (posix.stat(path, follow_symlinks=False) for path in ("/dev/shm", base.SHARED_MEMORY))
    except OSError:
        return False
    return (seen.st_dev, seen.st_ino) == (own.st_dev, own.st_ino)
