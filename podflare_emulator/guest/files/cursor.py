"""A position in a directory tree, by descriptor: used to copy and to remove trees."""

from __future__ import annotations

import contextlib
import errno
import posix
import sys
from collections.abc import Iterator

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW
# How many nested directories are held open at once; in deeper trees, ancestors are opened again from the root.
_WINDOW = 32
# The errors from opening a listed name that has vanished, or has become something else.
VANISHED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.ESTALE})


@contextlib.contextmanager
def staying() -> Iterator[None]:
    """Stays in the working directory: a call below a removed directory makes libfakechroot change to that one."""
    try:
        here = posix.open(".", _DIRECTORY)
    except OSError:  # it was removed, or may not be read
        yield
        return
    try:
        yield
    finally:
        posix.fchdir(here)
        posix.close(here)


class _Level:
    __slots__ = ("fd", "identity", "name", "unlocked")

    def __init__(self, name: str, fd: int = -1) -> None:
        self.name = name
        self.fd = fd
        self.identity: tuple[int, int] | None = None
        self.unlocked = False


class Cursor:
    """A position in a tree, however deep, that holds few descriptors.

    It never ascends by "..", which would lead out of the tree if a directory were moved meanwhile. Descriptors of
    the ancestors beyond the window are closed, and opened again from the root when the cursor comes back.
    """

    def __init__(self, root: int, *, unlock: bool = False) -> None:
        # Its own open file description: the caller's may be shared with processes that are listing the directory.
        self.root = posix.open(".", _DIRECTORY, dir_fd=root)
        self._levels = [_Level("", self.root)]
        self._unlock = unlock

    @property
    def fd(self) -> int:
        """The directory's descriptor; raises FileNotFoundError if the directory was moved away."""
        level = self._levels[-1]
        if level.fd < 0:
            self._reopen()
        return level.fd

    @property
    def depth(self) -> int:
        return len(self._levels) - 1

    @property
    def unlocked(self) -> bool:
        """Whether the directory's mode had to be changed to work in it."""
        return self._levels[-1].unlocked

    def path(self, *names: str) -> str:
        """The path, relative to the root, of this directory or of an entry of it."""
        return "/".join([*(level.name for level in self._levels[1:]), *names])

    def down(self, name: str) -> posix.stat_result:
        """Enter the subdirectory `name`; returns its status from before it was unlocked."""
        level = _Level(name)
        status = self._open(level, self.fd)
        self._levels.append(level)
        self._close_beyond_window(len(self._levels) - 1)
        return status

    def down_later(self, name: str) -> None:
        """Enter a subdirectory that is known to exist, but open it only when its descriptor is needed."""
        self._levels.append(_Level(name))

    def unlock_root(self) -> None:
        _unlock(self._levels[0], posix.fstat(self.root))

    def up(self) -> None:
        level = self._levels.pop()
        if level.fd >= 0:
            posix.close(level.fd)

    def close(self) -> None:
        while self._levels:
            self.up()

    def _open(self, level: _Level, parent: int) -> posix.stat_result:
        try:
            fd = posix.open(level.name, _DIRECTORY, dir_fd=parent)
        except PermissionError:
            if not self._unlock:
                raise
            _make_accessible(level.name, parent)
            level.unlocked = True
            fd = posix.open(level.name, _DIRECTORY, dir_fd=parent)
        status = posix.fstat(fd)
        identity = (status.st_dev, status.st_ino)
        if level.identity not in (None, identity):
            posix.close(fd)
            raise FileNotFoundError(errno.ENOENT, "moved meanwhile", level.name)
        level.fd = fd
        level.identity = identity
        if self._unlock:
            _unlock(level, status)
        return status

    def _reopen(self) -> None:
        parent = self.root
        for depth, level in enumerate(self._levels[1:], 1):
            if level.fd < 0:
                try:
                    self._open(level, parent)
                except NotADirectoryError as error:
                    raise FileNotFoundError(errno.ENOENT, "replaced meanwhile", level.name) from error
                self._close_beyond_window(depth)
            parent = level.fd

    def _close_beyond_window(self, depth: int) -> None:
        if depth > _WINDOW:
            level = self._levels[depth - _WINDOW]
            if level.fd >= 0:
                posix.close(level.fd)
                level.fd = -1


def _unlock(level: _Level, status: posix.stat_result) -> None:
    """Make an open directory one that its owner can work in."""
    # Setgid would give the directory's group to everything that is created in it.
    if status.st_mode & 0o2700 != 0o700:
        level.unlocked = True
        # If the directory belongs to another user, it may still be accessible as it is.
        with contextlib.suppress(PermissionError):
            posix.fchmod(level.fd, 0o700)


def _make_accessible(name: str, parent: int) -> None:
    """Give the owner of a directory all rights to it; never follows a symlink that has taken its place."""
    if sys.platform == "linux":
        fd = posix.open(name, posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW, dir_fd=parent)
        try:
            posix.chmod(f"/proc/self/fd/{fd}", 0o700)
        finally:
            posix.close(fd)
    else:
        posix.chmod(name, 0o700, dir_fd=parent, follow_symlinks=False)
