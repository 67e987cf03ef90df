"""Hard links: the names of one file in the source become names of one file in the target."""

from __future__ import annotations

import errno
import posix

from .cursor import Cursor
from .targets import Targets


class Links:
    """The files of the source that have several names. `targets`: where their copies are."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._first: dict[tuple[int, int], str] = {}  # inode -> the path of its first name in the target

    def has(self, status: posix.stat_result) -> bool:
        return (status.st_dev, status.st_ino) in self._first

    def add(self, status: posix.stat_result, name: str) -> None:
        """The current directory of the target has the file, under this name."""
        self._first[status.st_dev, status.st_ino] = self._targets.path(name)

    def make(self, status: posix.stat_result, name: str) -> bool:
        """Makes `name` another link to the same file, if the target has that already; returns whether it did."""
        if status.st_nlink == 1:
            return False
        first = self._first.get((status.st_dev, status.st_ino))
        return first is not None and all(_link(target, first, name) for target in self._targets.cursors)


def _link(target: Cursor, path: str, name: str) -> bool:
    """False if it is not possible, which is then so in every target."""
    there = target.fd
    try:
        if len(path) < 1000:  # of at most 4 bytes each: within PATH_MAX
            posix.link(path, name, src_dir_fd=target.root, dst_dir_fd=there, follow_symlinks=False)
            return True
        walk = Cursor(target.root)
        try:
            *parents, first = path.split("/")
            for parent in parents:
                walk.down(parent)
            posix.link(first, name, src_dir_fd=walk.fd, dst_dir_fd=there, follow_symlinks=False)
        finally:
            walk.close()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        return False  # too many links, or the two names are on different mounts
    return True
