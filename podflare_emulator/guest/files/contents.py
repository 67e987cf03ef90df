"""Copies the bytes and the attributes of one file from descriptor to descriptor."""

from __future__ import annotations

import errno
import fcntl
import posix
import stat
import sys
from collections.abc import Iterator

# Up to this size, one read and one write cost less than asking the kernel to copy.
_SMALL = 64 * 1024
_CHUNK = 1024 * 1024
# _IOW(0x94, 9, int), the same on every architecture that CPython supports, except MIPS, PowerPC and SPARC.
# There the file system does not know the request, and the bytes are copied instead.
_FICLONE = 0x40049409
# The kernel's errors when it cannot copy between two files by itself.
_UNSUPPORTED = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ENOTTY, errno.EBADF}
)


def copy_contents(reader: int, writer: int, status: posix.stat_result, *, may_seek: bool = True) -> None:
    """Copy the bytes of one regular file into an empty one, holes as holes, sharing blocks where possible.

    Args:
        status: of `reader`. What is appended later is not copied.
        may_seek: False if `reader` shares its offset with another process; holes then become zeros.
    """
    size = status.st_size
    if size > _SMALL and _clone(reader, writer):
        return
    if may_seek and status.st_blocks * 512 < size:
        for start, end in _data(reader, size):
            _copy_range(reader, writer, start, end)
        posix.ftruncate(writer, size)
    else:
        _copy_range(reader, writer, 0, size)


def read_small(reader: int, status: posix.stat_result) -> bytes | None:
    """The bytes of a regular file that is small and has no holes, None of any other. `status`: of `reader`."""
    if status.st_size > _SMALL or status.st_blocks * 512 < status.st_size:
        return None
    return posix.pread(reader, status.st_size, 0) if status.st_size else b""


def write(writer: int, content: bytes) -> None:
    """Writes the bytes of an empty file."""
    written = 0
    while written < len(content):
        written += posix.write(writer, content[written:])


def has_attributes(reader: int) -> bool:
    """Whether it has extended attributes that this process can see."""
    if sys.platform != "linux":
        return False
    try:
        return bool(posix.listxattr(reader))
    except OSError:  # the file system has none
        return False


def copy_metadata(
    reader: int | None, writer: int, status: posix.stat_result, found: posix.stat_result | None = None
) -> None:
    """Give the open file or directory `writer` the attributes, owner, mode and times of another.

    Extended attributes come from the descriptor `reader`, the rest from `status`. What this process may not
    set is left as it is. `found`: the status of `writer`, if its owner and mode are known.
    """
    found = found or posix.fstat(writer)
    owner = (status.st_uid, status.st_gid)
    changes_owner = owner != (found.st_uid, found.st_gid)
    if changes_owner:
        attempt_chown(writer, owner)
    if reader is not None:
        _copy_attributes(reader, writer, stat.S_ISDIR(found.st_mode))
    # The mode comes after the owner, because changing the owner clears setuid, and after the attributes, because
    # writing one needs a writable file.
    if changes_owner or found.st_mode != status.st_mode:
        posix.fchmod(writer, stat.S_IMODE(status.st_mode))
    posix.utime(writer, ns=(status.st_atime_ns, status.st_mtime_ns))


def printable(path: str) -> str:
    """A path for a message: bytes that are not UTF-8 become U+FFFD."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def attempt_chown(target: int | str, owner: tuple[int, int], parent: int | None = None) -> None:
    """Change the owner if that is allowed: an ordinary user may not, and a user namespace maps few ids."""
    try:
        posix.chown(target, *owner, dir_fd=parent, follow_symlinks=parent is None)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EINVAL):
            raise


def _copy_attributes(reader: int, writer: int, replace: bool) -> None:
    """Copy the extended attributes (ACLs and capabilities among them) that this process may read and set."""
    if sys.platform != "linux":
        return
    try:
        names = posix.listxattr(reader)
        if replace:
            for name in set(posix.listxattr(writer)).difference(names):
                posix.removexattr(writer, name)
    except OSError:
        return  # the file system has none
    for name in names:
        try:
            posix.setxattr(writer, name, posix.getxattr(reader, name))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise


def _clone(reader: int, writer: int) -> bool:
    """Let the two files share their blocks; False if the file system cannot."""
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(writer, _FICLONE, reader)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


def _data(reader: int, size: int) -> Iterator[tuple[int, int]]:
    """The ranges of a sparse file that hold data."""
    end = 0
    while end < size:
        try:
            start = posix.lseek(reader, end, posix.SEEK_DATA)
            end = posix.lseek(reader, start, posix.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here on
                return
            raise
        yield start, min(end, size)


def _copy_range(reader: int, writer: int, start: int, end: int) -> None:
    """Copy bytes to the same place in another file, moving neither file's offset."""
    by_kernel = sys.platform == "linux" and end - start > _SMALL
    while start < end:
        if sys.platform == "linux" and by_kernel:
            try:
                copied = posix.copy_file_range(reader, writer, min(end - start, 1 << 30), start, start)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                by_kernel = False
                continue
        else:
            data = posix.pread(reader, min(end - start, _CHUNK), start)
            copied = posix.pwrite(writer, data, start)
        if copied == 0:  # the file has been truncated meanwhile
            return
        start += copied
