"""Shared memory mappings across a live fork (Linux): the child's map its own files, or its own memory.

os.fork leaves them shared with the parent: the index of a database in WAL mode, for example.
"""

from __future__ import annotations

import ctypes
import fcntl
import io
import posix
import re
import struct
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..files.contents import printable
from .handles import SYSTEM_TREES, Record, in_kernel_tree, make_own

_PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 2, 4
_MAP_SHARED, _MAP_FIXED, _MAP_ANONYMOUS = 0x01, 0x10, 0x20
_MREMAP_MAYMOVE, _MREMAP_FIXED = 1, 2
_FAILED = ctypes.c_void_p(-1).value
_CHUNK = 1 << 20
_DELETED = " (deleted)"
# The kernel's names for shared memory that has no file.
_NAMELESS = ("/dev/zero (deleted)", "/SYSV")
# From a line of /proc/self/maps: addresses, rights, offset, path.
_SHARED = re.compile(rb"^(\w+)-(\w+) (...s) (\w+) \S+ \d+ +(\S.*)$", re.MULTILINE)
# The same for one region (Linux 6.11): the first shared one at or after an address.
_PROCMAP_QUERY = 0xC0686611
_QUERY = struct.Struct("=9Q4I2Q")
_ANY_SHARED = 0x08 | 0x10
_ANY_RIGHTS = _PROT_READ | _PROT_WRITE | _PROT_EXEC  # the query's flags for rights are the same
_LONGEST_PATH = 4096


class Mapping(NamedTuple):
    """One region of /proc/self/maps. `offset`: into the file, in bytes."""

    start: int
    length: int
    protection: int
    offset: int
    path: str

    @property
    def has_name(self) -> bool:
        """Whether it maps a file that still has a path."""
        return not self.path.startswith((*_NAMELESS, "/memfd:")) and not self.path.endswith(_DELETED)

    def renew(self, handles: Record, resolve: Callable[[str], str], *, own: bool = False) -> list[str]:
        """Replaces the inherited file by this sandbox's file of that path; memory without a file is copied.

        `own`: as in `Record.reopen`.
        """
        try:
            number = self._open(handles, resolve, own)
            if number is None:
                self._copy()
            else:
                self.put(number)
        except OSError as error:
            reason = f"{printable(self.path)} could not be mapped again after the fork: {error.strerror}"
            return [f"{reason}; it is still shared with the sandbox that was forked"]
        return []

    def open_again(self, resolve: Callable[[str], str]) -> int:
        """Opens a mapped file that has a name, in a tree on layers; returns a descriptor for `put`."""
        make_own(self.path, resolve(self.path))
        return posix.open(resolve(self.path), self._flags)

    def put(self, number: int) -> None:
        """Maps the file of a descriptor in place of the current one; closes the descriptor."""
        try:
            _mmap(self.start, self.length, self.protection, _MAP_SHARED | _MAP_FIXED, number, self.offset)
        finally:
            posix.close(number)

    @property
    def _flags(self) -> int:
        return (posix.O_RDWR if self.protection & _PROT_WRITE else posix.O_RDONLY) | posix.O_CLOEXEC

    def _open(self, handles: Record, resolve: Callable[[str], str], own: bool) -> int | None:
        """A descriptor of the file to map; None if the inherited one has neither a name nor a descriptor."""
        if self.path.startswith(_NAMELESS):
            return None
        if not self.path.endswith(_DELETED):
            if own:
                make_own(self.path, resolve(self.path))
            return posix.open(resolve(self.path), self._flags)
        number = handles.find(self.path)
        return None if number is None else posix.open(f"/proc/self/fd/{number}", self._flags)

    def _copy(self) -> None:
        """Replaces the mapping by a copy, which is built elsewhere and then moved over it in one step."""
        writable = self.protection | _PROT_WRITE
        copy = _mmap(0, self.length, writable, _MAP_SHARED | _MAP_ANONYMOUS, -1, 0)
        memory = io.FileIO("/proc/self/mem")
        try:
            for done in range(0, self.length, _CHUNK):
                data = posix.pread(memory.fileno(), min(_CHUNK, self.length - done), self.start + done)
                ctypes.memmove(copy + done, data, len(data))
        except OSError:
            pass  # beyond the end of a truncated file
        finally:
            memory.close()
        libc = _libc()
        if writable != self.protection:
            libc.mprotect(ctypes.c_void_p(copy), ctypes.c_size_t(self.length), self.protection)
        length = ctypes.c_size_t(self.length)
        flags = _MREMAP_MAYMOVE | _MREMAP_FIXED
        libc.mremap.restype = ctypes.c_void_p
        if libc.mremap(ctypes.c_void_p(copy), length, length, flags, ctypes.c_void_p(self.start)) == _FAILED:
            raise _error()


def record(root: str) -> list[Mapping]:
    """The mappings of this process that a fork would leave shared: of the tree's files, and of nameless memory.

    Empty except on Linux.
    """
    if sys.platform != "linux":
        return []
    inside = root.rstrip("/") + "/"
    found = []
    for region in _shared_regions():
        path, protection = region.path, region.protection
        system = inside == "/" and path.startswith(SYSTEM_TREES) and not protection & _PROT_WRITE
        of_tree = path.startswith(inside) and not system and not in_kernel_tree(path, root)
        if of_tree or path.startswith((*_NAMELESS, "/memfd:")):
            found.append(region)
    return found


def _shared_regions() -> list[Mapping]:
    """All shared regions of /proc/self/maps, whatever they map."""
    with io.FileIO("/proc/self/maps") as maps:
        try:
            return [*_asked_for(maps.fileno())]
        except OSError:  # an older kernel
            lines = [line for line in maps.readall().split(b"\n") if b"s " in line]
    return [
        Mapping(
            int(start, 16),
            int(end, 16) - int(start, 16),
            _protection(letters),
            int(offset, 16),
            _decoded(name.replace(b"\\012", b"\n")),
        )
        for start, end, letters, offset, name in _SHARED.findall(b"\n".join(lines))
    ]


def _asked_for(maps: int) -> Iterator[Mapping]:
    """The shared regions, from a kernel that can be asked for single ones and so need not format hundreds of others."""
    name = ctypes.create_string_buffer(_LONGEST_PATH)
    end = 0
    while True:
        asked = (_QUERY.size, _ANY_SHARED, end, *[0] * 8, len(name), 0, ctypes.addressof(name), 0)
        query = bytearray(_QUERY.pack(*asked))
        try:
            fcntl.ioctl(maps, _PROCMAP_QUERY, query)
        except FileNotFoundError:  # no more
            return
        start, end, flags, _, offset = _QUERY.unpack(query)[3:8]
        yield Mapping(start, end - start, flags & _ANY_RIGHTS, offset, _decoded(name.value))


def _decoded(path: bytes) -> str:
    return path.decode(sys.getfilesystemencoding(), "surrogateescape")


def _protection(letters: bytes) -> int:
    bits = ((b"r", _PROT_READ), (b"w", _PROT_WRITE), (b"x", _PROT_EXEC))
    return sum(bit for letter, bit in bits if letter in letters)


def _mmap(start: int, length: int, protection: int, flags: int, number: int, offset: int) -> int:
    libc = _libc()
    libc.mmap.restype = ctypes.c_void_p
    size, where = ctypes.c_size_t(length), ctypes.c_void_p(start)
    address: int | None = libc.mmap(where, size, protection, flags, number, ctypes.c_long(offset))
    if address is None or address == _FAILED:
        raise _error()
    return address


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, posix.strerror(number))
