"""Open file handles across a live fork: the child gets its own files, at the parent's offsets.

A forked child shares every open file description with its parent: the offset, and the parent's file behind it.
`record` notes them in the parent before the fork. `Record.reopen` runs in the child once it has moved to its own copy
of the tree, and replaces them by descriptions of the copied files.

The calls go to `posix`, not to `os`: this runs inside the user's interpreter, where user code (or the portable
backend) may have replaced functions of `os`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import posix
import stat
import sys
from collections.abc import Callable, Collection
from os import SEEK_CUR, SEEK_SET
from typing import NamedTuple

from ..files.contents import copy_contents, copy_metadata, printable
from ..jail.layout import RUNTIME, SYSTEM

# The original, which returns the host's paths: by the time of a fork, the portable backend may have replaced it.
_readlink = posix.readlink

# Trees of the kernel, the same in every sandbox.
KERNEL_TREES = ("/dev", "/proc", "/sys")
# Layers over these, if there are any, are not part of the root: they stay the same when the root changes.
SYSTEM_TREES = tuple(f"/{name}/" for name in (*SYSTEM, RUNTIME[1:]))
_SHARED_MEMORY = "/dev/shm"  # an exception: it belongs to the sandbox

_MEMFD = "/memfd:"
_DELETED = " (deleted)"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOMEM)
# Flags that only matter while a file is opened, not for what the descriptor can do. O_TMPFILE includes O_DIRECTORY.
_ONCE = posix.O_CREAT | posix.O_EXCL | posix.O_TRUNC | posix.O_DIRECTORY | getattr(posix, "O_TMPFILE", 0)
_F_DUPFD_QUERY = 1027  # Linux 6.10: is this the same open file description?
_SYS_KCMP = {"x86_64": 312, "aarch64": 272, "riscv64": 272}
_KCMP_FILE = 0


class Handle(NamedTuple):
    """One open file description of a file or directory, and the descriptors that lead to it."""

    numbers: dict[int, bool]  # descriptor -> whether programs inherit it across an exec
    path: str
    flags: int
    offset: int
    status: posix.stat_result
    detached: bool
    """The path leads to another file or to none: the file was unlinked or replaced, or never had a name."""

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    def put(self, replacement: int) -> None:
        """Makes the handle's descriptors duplicates of `replacement`, and closes that."""
        for number, inheritable in self.numbers.items():
            posix.dup2(replacement, number, inheritable)
        posix.close(replacement)


class Record(NamedTuple):
    """The open files of a process at one moment."""

    root: str
    handles: list[Handle]
    shared: list[tuple[int, str]]
    """Descriptors that a fork cannot split, and their kinds: "pipe", "socket", "epoll", "terminal" ..."""

    def reopen(self, *, resolve: Callable[[str], str] = str, own: bool = False) -> list[str]:
        """In the child: make every recorded descriptor lead to the child's file.

        Args:
            resolve: maps a file's path in the parent to its path in the child.
            own: whether files may be in a shared layer; they are then copied to this tree's layer.

        Returns:
            A message for each file that could not be opened again. Its descriptors are then useless (EBADF),
            which is better than writing to the parent's file.
        """
        messages = []
        for handle in self.handles:
            try:
                replacement = self._open(handle, resolve, own)
            except OSError as error:
                numbers = ", ".join(map(str, handle.numbers))
                messages.append(
                    f"{printable(handle.path)} could not be opened again after the fork: {error.strerror}; "
                    f"file descriptor {numbers} cannot be used in this sandbox"
                )
                replacement = _useless()
            handle.put(replacement)
        return messages

    def open_again(self, resolve: Callable[[str], str]) -> list[tuple[Handle, int]]:
        """Opens the files that have a name, in a tree on layers; returns descriptors for `put`.

        Files without a name stay usable through their present descriptors. If it raises OSError, it has opened nothing.
        """
        opened: list[tuple[Handle, int]] = []
        try:
            for handle in self.handles:
                if not handle.detached:
                    opened.append((handle, self._open(handle, resolve, own=True)))
        except OSError:
            for _, number in opened:
                posix.close(number)
            raise
        return opened

    def find(self, path: str) -> int | None:
        """A descriptor of the file that the kernel names `path`; also finds unlinked files."""
        for handle in self.handles:
            if handle.path == path:
                return next(iter(handle.numbers))
        return None

    def _open(self, handle: Handle, resolve: Callable[[str], str], own: bool) -> int:
        number = next(iter(handle.numbers))
        if not handle.detached:
            kind = posix.O_DIRECTORY if handle.is_directory else 0
            if own and not handle.is_directory:
                make_own(handle.path, resolve(handle.path))
            fd = _open_unhindered(resolve(handle.path), handle.flags & ~_ONCE | kind)
        elif handle.is_directory:
            fd = open_removed_directory(f"{resolve(self.root)}/.removed-{number}")
        elif handle.path.startswith(_MEMFD) and sys.platform == "linux":
            fd = _copy_memfd(handle, number)
        else:
            fd = _copy_unlinked(handle, number, f"{resolve(self.root)}/.unlinked-{number}")
        if handle.offset > 0 and not handle.is_directory:
            posix.lseek(fd, handle.offset, SEEK_SET)
        return fd


def record(root: str = "/", *, ignore: Collection[int] = (), skip: Collection[str] = KERNEL_TREES) -> Record:
    """In the parent, before the fork: note its open files.

    Args:
        root: the absolute path of the sandbox's tree. Files outside it that are open for writing are left alone;
            those open for reading get their own offset.
        ignore: descriptors that are not the user's.
        skip: absolute paths; files at and below them are left alone, unless the tree itself is there.
    """
    root = root.rstrip("/")
    skip = _around(root, skip)
    found = Record(root or "/", [], [])
    for number in descriptors():
        if number in ignore:
            continue
        try:
            status = posix.fstat(number)
            path = _path(number)
            # Namespaces and pidfds are regular files too, but have no path.
            if stat.S_IFMT(status.st_mode) in (stat.S_IFREG, stat.S_IFDIR) and path.startswith("/"):
                _record_file(found, number, path, status, skip)
            elif (kind := _shared_kind(number, path, status)) is not None:
                found.shared.append((number, kind))
        except OSError as error:
            # Another thread has closed it meanwhile, or it was the descriptor of the listing itself.
            if error.errno not in (errno.EBADF, errno.ENOENT):
                raise
    return found


def in_kernel_tree(path: str, root: str) -> bool:
    """Whether the file at `path` belongs to the kernel, and not to the sandbox whose tree is at `root`."""
    return _skipped(path, _around(root, KERNEL_TREES))


def _record_file(
    found: Record, number: int, path: str, status: posix.stat_result, skip: Collection[str]
) -> None:
    flags = fcntl.fcntl(number, fcntl.F_GETFL)
    inside = path.startswith((_MEMFD, found.root.rstrip("/") + "/")) or path == found.root
    if _skipped(path, skip) or not (inside or flags & posix.O_ACCMODE == posix.O_RDONLY):
        return
    try:
        offset = posix.lseek(number, 0, SEEK_CUR)
    except OSError:
        offset = 0  # opened with O_PATH
    inheritable = posix.get_inheritable(number)
    for handle in found.handles:
        if (
            (handle.status.st_ino, handle.status.st_dev) == (status.st_ino, status.st_dev)
            and (handle.flags, handle.offset) == (flags, offset)
            and _same_description(next(iter(handle.numbers)), number, offset, status)
        ):
            handle.numbers[number] = inheritable
            return
    try:
        named = posix.stat(path, follow_symlinks=False)
        detached = (named.st_dev, named.st_ino) != (status.st_dev, status.st_ino)
    except OSError:
        detached = True
    found.handles.append(Handle({number: inheritable}, path, flags, offset, status, detached))


def descriptors() -> list[int]:
    """The descriptors of this process, including the one used for the listing."""
    return sorted(map(int, posix.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")))


def _path(number: int) -> str:
    """The path of an open file, or the kernel's substitute for it; may be empty except on Linux."""
    if sys.platform == "linux":
        return _readlink(f"/proc/self/fd/{number}")
    try:
        path = fcntl.fcntl(number, fcntl.F_GETPATH, bytes(1024))
    except OSError:
        return ""
    return path.partition(b"\0")[0].decode(sys.getfilesystemencoding(), "surrogateescape")


def _around(root: str, skip: Collection[str]) -> list[str]:
    """The trees to skip, except those that contain the sandbox's tree, which may be in /dev/shm."""
    return [tree for tree in skip if not _below(root, [tree])]


def _skipped(path: str, trees: Collection[str]) -> bool:
    return _below(path, trees) and not _below(path, [_SHARED_MEMORY])


def _below(path: str, trees: Collection[str]) -> bool:
    return any(path == tree or path.startswith(f"{tree}/") for tree in trees)


def _shared_kind(number: int, path: str, status: posix.stat_result) -> str | None:
    """The kind of a descriptor that leads to no file; None if it has no state that could be shared."""
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFSOCK:
        return "socket"
    if kind == stat.S_IFIFO:
        return "pipe"
    if kind == stat.S_IFCHR:
        return "terminal" if posix.isatty(number) else None
    kernel_name = path.removeprefix("anon_inode:").partition(":")[0].strip("[]")
    return {"eventpoll": "epoll", "": "other"}.get(kernel_name, kernel_name)


def _same_description(first: int, second: int, offset: int, status: posix.stat_result) -> bool:
    """Whether two descriptors are duplicates that share an offset."""
    try:
        return fcntl.fcntl(first, _F_DUPFD_QUERY, second) == 1
    except OSError:
        pass  # an older kernel
    syscall = _SYS_KCMP.get(posix.uname().machine) if sys.platform == "linux" else None
    if syscall is not None:
        process = posix.getpid()
        answer = ctypes.CDLL(None).syscall(syscall, process, process, _KCMP_FILE, first, second)
        if answer >= 0:
            return bool(answer == 0)
    # kcmp is forbidden (Docker does that by default): move one offset and look at the other.
    if not stat.S_ISREG(status.st_mode):
        return False
    posix.lseek(first, offset + 1, SEEK_SET)
    moved = posix.lseek(second, 0, SEEK_CUR) != offset
    posix.lseek(first, offset, SEEK_SET)
    return moved


def make_own(path: str, place: str) -> None:
    """Copies an open file up from a shared layer: otherwise a mapping of it would not show what others write.

    `place`: where the file `path` of the tree can be reached.
    """
    if path.startswith(SYSTEM_TREES):
        return
    try:
        posix.close(_open_unhindered(place, posix.O_WRONLY | posix.O_CLOEXEC))
    except OSError as error:
        # Other errors mean that nobody can write to it: it is on another mount, or being executed.
        if error.errno in _NO_ROOM:
            raise


def _open_unhindered(path: str, flags: int) -> int:
    """Open a file of this user even if its mode no longer allows that."""
    try:
        return posix.open(path, flags)
    except PermissionError:
        mode = stat.S_IMODE(posix.stat(path, follow_symlinks=False).st_mode)
        posix.chmod(path, mode | 0o600)
        try:
            return posix.open(path, flags)
        finally:
            posix.chmod(path, mode)


def open_removed_directory(name: str) -> int:
    """A descriptor of an empty directory without a name; `name` is used temporarily."""
    posix.mkdir(name, 0o700)
    try:
        return posix.open(name, posix.O_RDONLY | posix.O_DIRECTORY)
    finally:
        posix.rmdir(name)


def _copy_unlinked(handle: Handle, number: int, name: str) -> int:
    """A file without a name that holds the bytes of another; `name` is used temporarily."""
    parent = name.rpartition("/")[0] or "/"
    times = posix.stat(parent)
    writer = posix.open(name, posix.O_RDWR | posix.O_CREAT | posix.O_EXCL, 0o600)
    try:
        try:
            fd = posix.open(name, handle.flags & ~_ONCE)
        finally:
            posix.unlink(name)
            posix.utime(parent, ns=(times.st_atime_ns, times.st_mtime_ns))
        try:
            _fill(writer, handle, number)
        except OSError:
            posix.close(fd)
            raise
    finally:
        posix.close(writer)
    return fd


if sys.platform == "linux":

    def _copy_memfd(handle: Handle, number: int) -> int:
        name = handle.path.removeprefix(_MEMFD).removesuffix(_DELETED)
        writer = posix.memfd_create(name, posix.MFD_CLOEXEC | posix.MFD_ALLOW_SEALING)
        try:
            _fill(writer, handle, number)
            fcntl.fcntl(writer, fcntl.F_ADD_SEALS, fcntl.fcntl(number, fcntl.F_GET_SEALS))
            return posix.open(f"/proc/self/fd/{writer}", handle.flags & ~_ONCE)
        finally:
            posix.close(writer)


def _fill(writer: int, handle: Handle, number: int) -> None:
    """Copy the file of an inherited descriptor without moving its offset, which the parent shares."""
    try:
        if sys.platform != "linux":
            raise PermissionError
        reader = posix.open(f"/proc/self/fd/{number}", posix.O_RDONLY)
    except PermissionError:
        copy_contents(number, writer, posix.fstat(number), may_seek=False)
        copy_metadata(None, writer, handle.status)
        return
    try:
        copy_contents(reader, writer, posix.fstat(reader))
        copy_metadata(reader, writer, handle.status)
    finally:
        posix.close(reader)


def _useless() -> int:
    """A descriptor that refuses both reading and writing."""
    return posix.open("/dev/null", getattr(posix, "O_PATH", posix.O_RDONLY))
