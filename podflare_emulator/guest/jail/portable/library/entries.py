"""`os.scandir`: its entries' paths begin with the path that was passed, and they are instances of `os.DirEntry`."""

from __future__ import annotations

import os
import posixpath

from .. import calls

TYPE_CHECKING = False  # as in `typing`
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

__tracebackhide__ = True  # read by pytest

_native = os.DirEntry
_scandir = os.scandir


class _EntryType(type):
    """Native entries (from a descriptor, or from the host's directories) count as instances too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _native) or super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _native) or super().__subclasscheck__(subclass)

    def __call__(cls) -> NoReturn:
        raise TypeError("cannot create 'posix.DirEntry' instances")


class DirEntry(metaclass=_EntryType):
    __slots__ = ("_entry", "_name", "_path")
    _entry: os.DirEntry[Any]
    _name: Any
    _path: Any

    @property
    def name(self) -> Any:
        """the entry's base filename, relative to scandir() "path" argument"""
        return self._name

    @property
    def path(self) -> Any:
        """the entry's full path name; equivalent to os.path.join(scandir_path, entry.name)"""
        return self._path

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Return True if the entry is a directory; cached per entry."""
        return self._entry.is_dir(follow_symlinks=follow_symlinks)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Return True if the entry is a file; cached per entry."""
        return self._entry.is_file(follow_symlinks=follow_symlinks)

    def is_symlink(self) -> bool:
        """Return True if the entry is a symbolic link; cached per entry."""
        return self._entry.is_symlink()

    def is_junction(self) -> bool:
        """Return True if the entry is a junction; cached per entry."""
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return stat_result object for the entry; cached per entry."""
        try:
            return self._entry.stat(follow_symlinks=follow_symlinks)
        except OSError as error:
            calls.show(error, (self._entry.path, self._path))
            raise

    def inode(self) -> int:
        """Return inode of the entry; cached per entry."""
        return self._entry.inode()

    def __fspath__(self) -> Any:
        """Returns the path for the entry."""
        return self._path

    def __repr__(self) -> str:
        return repr(self._entry)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("cannot pickle 'posix.DirEntry' object")

    __class_getitem__: Any = classmethod(type(list[int]))


if not hasattr(_native, "is_junction"):  # before 3.12
    del DirEntry.is_junction

_new = object.__new__


class ScandirIterator:
    def __init__(self, entries: Any, directory: Any) -> None:
        self._entries = entries
        self._directory = directory
        self.close = entries.close

    def __iter__(self) -> Iterator[DirEntry]:
        return self

    def __next__(self) -> DirEntry:
        native = next(self._entries)
        entry = _new(DirEntry)
        entry._entry = native
        entry._name = native.name
        entry._path = posixpath.join(self._directory, native.name)
        return entry

    def __enter__(self) -> ScandirIterator:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


for _kind in (DirEntry, ScandirIterator):
    _kind.__module__ = "posix"
DirEntry.__doc__ = _native.__doc__


def scandir(path: Any = None) -> Any:
    real = calls.current().real(path)
    if real is path:
        return _scandir(path)
    if isinstance(path, bytearray | memoryview):
        path = bytes(path)
    try:
        return ScandirIterator(_scandir(real), os.fspath(path))
    except OSError as error:
        calls.show(error, (real, path))
        raise
