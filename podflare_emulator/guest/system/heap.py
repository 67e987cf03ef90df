"""Python's small objects on huge pages, so that a fork does not copy a page table entry for every 4 KiB of them.

CPython keeps small objects in arenas of 1 MiB, and maps each by itself: none can hold a huge page of 2 MiB. Here it
takes new arenas from malloc's heap instead, which lies on huge pages (`glibc.malloc.hugetlb`, see jail/environment.py).
CPython unmaps a free arena at once. malloc keeps it, so `give_back` returns free memory to the system.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import re
import resource
import sys
from types import FunctionType
from typing import Any

from .kernel import libc

_MIB = 1 << 20
_ARENA = _MIB  # since 3.10, on 64 bits
_UNKNOWN = (3, 14)
_ATTEMPTS = 5
_MALLOC_TUNES_ITS_HEAP = (2, 35)
_SETTING = "/sys/kernel/mm/transparent_hugepage/enabled"
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MADV_NOHUGEPAGE = 15
# An arena must come from the heap, and a block that malloc maps by itself gets huge pages from 2 MiB.
_MAPPED_FROM = 2 * _MIB
_ON_SMALL_PAGES = 8 * _MIB  # what a small sandbox takes must not be rounded up to 2 MiB
_KEPT = 32 * _MIB  # of free memory: more at the heap's end is given back at once, elsewhere by `give_back`
_LARGE = 64 * _MIB
_RAW = 0  # PYMEM_DOMAIN_RAW: malloc itself
# Always allocated as small objects, and never static: many are in every arena.
_SMALL = (dict, list, set, FunctionType)
# An arena has pools, and each begins with a header that has the number of its arena: `arenaindex` of pool_header.
_POOL, _ARENA_NUMBER = 1 << 14, 32
_COUNTED = re.compile(rb"# arenas allocated current\s+=\s+([\d,]+)")


class _Allocator(ctypes.Structure):
    """PyMemAllocatorEx."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("context", "malloc", "calloc", "realloc", "free"))


class _Usage(ctypes.Structure):
    """mallinfo2, in bytes."""

    _fields_ = (
        ("heap", ctypes.c_size_t),
        ("others", ctypes.c_size_t * 7),
        ("free", ctypes.c_size_t),
        ("at_the_end", ctypes.c_size_t),
    )


class _ArenaAllocator(ctypes.Structure):
    """PyObjectArenaAllocator. Its `free` gets the size too, which malloc's does not look at."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("context", "alloc", "free"))


_in_use = False


def use_huge_pages() -> bool:
    """From now on new arenas come from malloc's heap. False if that cannot be done, or gains nothing.

    For a process without threads that never finalizes its interpreter: it and its forks end by `os._exit`. What was
    mapped before must not be freed now. Of arenas an object in each is kept for good, and they are counted, to be sure
    that none is missed. The only other thing is the main thread's stack of frames (3.11), freed at finalization.
    """
    global _in_use
    if not _can_gain():
        return False
    before, malloc, arenas = _ArenaAllocator(), _Allocator(), _ArenaAllocator()
    ctypes.pythonapi.PyObject_GetArenaAllocator(ctypes.byref(before))
    ctypes.pythonapi.PyMem_GetAllocator(_RAW, ctypes.byref(malloc))
    arenas.context, arenas.alloc, arenas.free = malloc.context, malloc.malloc, malloc.free
    _tune()
    for _ in range(_ATTEMPTS):
        pins = _one_in_each_arena()
        if not pins:
            break
        for pin in pins:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(pin))
        ctypes.pythonapi.PyObject_SetArenaAllocator(ctypes.byref(arenas))
        if _arenas() == len(pins):
            _in_use = True
            return True
        ctypes.pythonapi.PyObject_SetArenaAllocator(
            ctypes.byref(before)
        )  # one was mapped since they were counted
    return False


def may_have_much() -> bool:
    """Whether `give_back` may find something: the process has been large. Takes a microsecond."""
    return _in_use and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > _LARGE


def give_back() -> None:
    """Returns free memory to the system if there is much. Huge pages with free parts are split by that."""
    usage = libc.mallinfo2()
    if usage.free > max(_KEPT, usage.heap // 4):
        libc.malloc_trim(0)


def _can_gain() -> bool:
    """Whether this CPython is one whose ways are known, and malloc's heap gets huge pages."""
    if (
        sys.implementation.name != "cpython"
        or sys.maxsize < 1 << 32
        or not (3, 10) <= sys.version_info < _UNKNOWN
    ):
        return False
    if not hasattr(libc, "gnu_get_libc_version") or not hasattr(os, "memfd_create") or not _arenas():
        return False
    libc.gnu_get_libc_version.restype = ctypes.c_char_p
    version = tuple(map(int, libc.gnu_get_libc_version().split(b".")[:2]))
    try:
        with open(_SETTING, encoding="ascii") as file:
            return version >= _MALLOC_TUNES_ITS_HEAP and "[never]" not in file.read()
    except OSError:
        return False


def _tune() -> None:
    """Sets up malloc's heap: its next few MiB are on small pages, what comes after them on huge ones."""
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.mallinfo2.restype = _Usage
    libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)
    libc.mallopt(_M_TRIM_THRESHOLD, _KEPT)
    libc.mallopt(_M_TOP_PAD, _ON_SMALL_PAGES)
    block = libc.malloc(_MAPPED_FROM - 4096)  # more than malloc has left there, so that the heap grows
    libc.free(block)
    libc.mallopt(_M_TOP_PAD, 0)
    start, end = -(-block // 4096) * 4096, libc.sbrk(0)
    if start < end < start + 4 * _ON_SMALL_PAGES:
        libc.madvise(start, end - start, _MADV_NOHUGEPAGE)


def _one_in_each_arena() -> list[Any] | None:
    """Objects of which each lies in another arena, as many as there are arenas; None if they cannot be found."""
    for spare, step in ((0, 16), (2_000, 1), (8_000, 1)):
        _new: list[list[Any]] = [[] for _ in range(spare)]  # some lie in an arena that is still empty
        seen: dict[int, tuple[int, int, Any]] = {}
        for found in gc.get_objects()[::step]:
            if type(found) in _SMALL:
                address = id(found)
                number = ctypes.c_uint32.from_address((address & -_POOL) + _ARENA_NUMBER).value
                lowest, highest, _ = seen.get(number, (address, address, None))
                seen[number] = min(lowest, address), max(highest, address), found
        if any(highest - lowest >= _ARENA for lowest, highest, _ in seen.values()):
            return None  # that is no arena's number: this CPython keeps it elsewhere
        if len(seen) == _arenas():
            return [found for _, _, found in seen.values()]
    return None


def _arenas() -> int | None:
    """How many there are. CPython tells only on the standard error stream."""
    with contextlib.ExitStack() as closing:
        stats, errors = os.memfd_create("arenas"), os.dup(2)
        closing.callback(os.close, stats)
        closing.callback(os.close, errors)
        os.dup2(stats, 2)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(errors, 2)
        found = _COUNTED.search(os.pread(stats, _MIB, 0))
    return int(found[1].replace(b",", b"")) if found else None
