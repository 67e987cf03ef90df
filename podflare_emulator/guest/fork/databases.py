"""Open sqlite3 connections across a fork: SQLite remembers which file it has opened, and refuses any other.

It compares inodes ("attempt to write a readonly database"), looks up its locks by inode, and finds the journal by the
path that it was given. So we overwrite these values in its memory: there is no call for that, but the structures have
not changed since 2009. First we compare everything with what the kernel says about the same descriptor. Structures that
do not match are left alone.
"""

from __future__ import annotations

import ctypes
import gc
import posix
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

_FILE_POINTER = 7  # of sqlite3_file_control
_FILE = struct.Struct("PPPi")  # unixFile: methods, VFS, inode, descriptor
_INODE = struct.Struct("QQ")  # unixInodeInfo begins with device and inode
_MAGIC = b"SQLite format 3\0"  # the start of every database that is not empty
_MOST_SCHEMAS = 128


class Database(NamedTuple):
    """One database file of one connection: the addresses at which SQLite keeps its inode and its paths."""

    inode: int
    number: int
    names: list[int]

    def renew(self, resolve: Callable[[str], str]) -> None:
        """Call it after the file was opened again under the same descriptor."""
        status = posix.fstat(self.number)
        ctypes.memmove(self.inode, _INODE.pack(status.st_dev, status.st_ino), _INODE.size)
        for address in self.names:
            before = ctypes.string_at(address)
            after = resolve(before.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
            if len(after) == len(before):  # it is: all jails have names of the same length
                ctypes.memmove(address, after, len(after))


def record(files: Iterable[int]) -> list[Database]:
    """The databases of all connections of this process; empty if SQLite is not as expected.

    `files`: descriptors of its open files. If none of these can be a database, this does not search for connections,
    which takes a walk through all objects.
    """
    module: Any = sys.modules.get("_sqlite3")
    if module is None or _FILE.size != 28 or not any(map(_may_be_a_database, files)):
        return []
    try:
        library = _Library(ctypes.CDLL(getattr(module, "__file__", None)))
    except (OSError, AttributeError):
        return []
    return [database for connection in _connections(module) for database in library.databases(connection)]


def _may_be_a_database(number: int) -> bool:
    try:
        return posix.pread(number, len(_MAGIC), 0) in (_MAGIC, b"")
    except OSError:  # a directory, or a file opened only for writing
        return False


def _connections(module: Any) -> Iterator[int]:
    """The address of the `sqlite3` structure of every open connection."""
    kinds = [module.Connection]
    for kind in kinds:
        kinds += kind.__subclasses__()
    # An object refers to its type, so `get_referrers` finds it. A list of all objects would touch (and copy) them all.
    for found in gc.get_referrers(*kinds):
        if isinstance(found, module.Connection):
            address = ctypes.c_void_p.from_address(id(found) + object.__basicsize__).value
            if address:
                yield address


class _Library:
    def __init__(self, library: ctypes.CDLL) -> None:
        self._control = library.sqlite3_file_control
        self._schema_name = getattr(library, "sqlite3_db_name", None)  # 3.39
        self._names = [
            getattr(library, name, None) for name in ("sqlite3_filename_journal", "sqlite3_filename_wal")
        ]
        self._file_name = library.sqlite3_db_filename
        for call in (self._schema_name, self._file_name, *self._names):
            if call:
                call.restype = ctypes.c_void_p
        library.sqlite3_vfs_find.restype = ctypes.c_void_p
        self._vfs = library.sqlite3_vfs_find(None)

    def databases(self, connection: int) -> Iterator[Database]:
        for schema in self._schemas(connection):
            pointer = ctypes.c_void_p()
            arguments = (ctypes.c_void_p(connection), schema, _FILE_POINTER, ctypes.byref(pointer))
            if self._control(*arguments) != 0 or not pointer.value:
                continue
            methods, vfs, inode, number = _FILE.unpack(ctypes.string_at(pointer.value, _FILE.size))
            if not methods or not inode or vfs != self._vfs:  # in memory, or not a file of the system
                continue
            try:
                status = posix.fstat(number)
            except OSError:
                continue
            if _INODE.unpack(ctypes.string_at(inode, _INODE.size)) == (status.st_dev, status.st_ino):
                yield Database(inode, number, list(self._file_names(connection, schema)))

    def _schemas(self, connection: int) -> Iterator[bytes]:
        """`main`, and the attached databases."""
        if self._schema_name is None:
            yield b"main"
            return
        for index in range(_MOST_SCHEMAS):
            address = self._schema_name(ctypes.c_void_p(connection), index)
            if not address:
                return
            yield ctypes.string_at(address)

    def _file_names(self, connection: int, schema: bytes) -> Iterator[int]:
        """The addresses of the paths of the file, its journal and its write-ahead log."""
        name = self._file_name(ctypes.c_void_p(connection), schema)
        if name:
            yield name
            for call in filter(None, self._names):
                other = call(ctypes.c_void_p(name))
                if other:
                    yield other
