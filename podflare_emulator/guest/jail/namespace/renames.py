"""`os.rename` of a directory in a shared layer: the kernel refuses it (EXDEV), so this moves its entries instead.

A fork creates such directories. Programs that the sandbox starts get the error; `mv` and similar programs then copy.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import posix
import stat
import sys
from collections.abc import Callable, Iterator
from typing import Any

from ...files.contents import copy_metadata

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_rename = posix.rename


def install() -> None:
    """Replaces the functions in this process, and so in those that it forks. Calling it again does nothing."""
    for name in ("rename", "replace"):
        original = getattr(posix, name)
        if isinstance(original, _Coping):
            continue
        coping = _Coping(original)
        for module in (posix, os):
            if getattr(module, name) is original:
                setattr(module, name, coping)
        if original in os.supports_dir_fd:
            os.supports_dir_fd.add(coping)
        accessor: Any = getattr(sys.modules.get("pathlib"), "_NormalAccessor", None)  # Python 3.10
        if getattr(accessor, name, None) is original:
            setattr(accessor, name, coping)


class _Coping:
    """A function that does not become a method as an attribute of a class, like the C function that it replaces."""

    def __init__(self, original: Callable[..., None]) -> None:
        functools.update_wrapper(self, original)
        self._original = original

    def __call__(
        self, src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None:
        try:
            self._original(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        except OSError as error:
            if error.errno != errno.EXDEV or not _move(src, dst, src_dir_fd, dst_dir_fd):
                raise

    def __repr__(self) -> str:
        return repr(self._original)

    def __reduce__(self) -> str:
        return self._original.__name__


def _move(src: Any, dst: Any, src_dir_fd: int | None, dst_dir_fd: int | None) -> bool:
    """Whether it was a directory that could be moved this way. If it raises OSError, nothing has moved."""
    source, name = _open_parent(src, src_dir_fd)
    target = -1
    try:
        target, new = _open_parent(dst, dst_dir_fd)
        status = posix.stat(name, dir_fd=source, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode) or status.st_dev != posix.fstat(target).st_dev:
            return False
        if _has_entries(target, new):
            raise OSError(errno.ENOTEMPTY, posix.strerror(errno.ENOTEMPTY), src, None, dst)
        passing = f".{os.urandom(6).hex()}"
        try:
            _move_entries(source, name, target, passing)
            _rename(passing, new, src_dir_fd=target, dst_dir_fd=target)
        except BaseException as error:
            _move_back(target, passing, source, name)
            if isinstance(error, OSError) and error.errno == errno.EXDEV:  # the two are on different mounts
                return False
            raise
        _remove_directories(source, name)
        return True
    finally:
        posix.close(source)
        if target >= 0:
            posix.close(target)


def _has_entries(parent: int, name: str) -> bool:
    try:
        directory = posix.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        return False
    try:
        return bool(posix.listdir(directory))
    finally:
        posix.close(directory)


def _open_parent(path: Any, directory: int | None) -> tuple[int, str]:
    parent, name = os.path.split(os.fsdecode(path).rstrip("/"))
    return posix.open(
        parent or ".", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC, dir_fd=directory
    ), name


def _move_entries(source: int, name: str, target: int, new: str) -> None:
    """Moves all entries of the directory to a new one with the same metadata."""
    posix.mkdir(new, 0o700, dir_fd=target)
    with _both(source, name, target, new) as (old, made):
        status = posix.fstat(old)
        for entry in posix.listdir(old):
            try:
                _rename(entry, entry, src_dir_fd=old, dst_dir_fd=made)
            except OSError as error:
                kind = posix.stat(entry, dir_fd=old, follow_symlinks=False).st_mode
                if error.errno != errno.EXDEV or not stat.S_ISDIR(kind):
                    raise
                _move_entries(old, entry, made, entry)
        copy_metadata(old, made, status)


def _move_back(source: int, name: str, target: int, new: str) -> None:
    try:
        with _both(source, name, target, new) as (made, old):
            for entry in posix.listdir(made):
                try:
                    _rename(entry, entry, src_dir_fd=made, dst_dir_fd=old)
                except OSError:  # the original directory still exists
                    _move_back(made, entry, old, entry)
        posix.rmdir(name, dir_fd=source)
    except FileNotFoundError:
        pass


def _remove_directories(parent: int, name: str) -> None:
    """Removes a tree that consists only of directories."""
    directory = posix.open(name, _DIRECTORY, dir_fd=parent)
    try:
        for entry in posix.listdir(directory):
            _remove_directories(directory, entry)
    finally:
        posix.close(directory)
    posix.rmdir(name, dir_fd=parent)


@contextlib.contextmanager
def _both(source: int, name: str, target: int, new: str) -> Iterator[tuple[int, int]]:
    old = posix.open(name, _DIRECTORY, dir_fd=source)
    try:
        made = posix.open(new, _DIRECTORY, dir_fd=target)
        try:
            yield old, made
        finally:
            posix.close(made)
    finally:
        posix.close(old)
