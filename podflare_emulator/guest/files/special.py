"""Copies symbolic links and named pipes, from one directory to another."""

from __future__ import annotations

import errno
import posix
import stat
from collections.abc import Callable

from .contents import attempt_chown
from .cursor import VANISHED


def copy_symlink(
    name: str,
    status: posix.stat_result,
    here: int,
    there: int,
    resolve: Callable[[str, int], str],
    index: int,
) -> posix.stat_result | None:
    """`resolve` and `index`: as of `synchronize` in tree.py."""
    try:
        destination = posix.readlink(name, dir_fd=here)
    except OSError as error:
        if error.errno in VANISHED or error.errno == errno.EINVAL:  # no longer a symlink
            return None
        raise
    posix.symlink(resolve(destination, index), name, dir_fd=there)
    if (status.st_uid, status.st_gid) != (posix.geteuid(), posix.getegid()):
        attempt_chown(name, (status.st_uid, status.st_gid), there)
    posix.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=there, follow_symlinks=False)
    return status


def copy_fifo(name: str, status: posix.stat_result, there: int) -> posix.stat_result:
    posix.mkfifo(name, 0o600, dir_fd=there)
    attempt_chown(name, (status.st_uid, status.st_gid), there)
    posix.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=there)
    posix.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=there)
    return status
