"""Ends OpenMP's thread pools (scikit-learn's, for one) before a fork: in a child, GNU's runtime would wait for threads
that only the parent has."""

from __future__ import annotations

import ctypes
import io
import os
import select

from ..system.siblings import threads

_LOOKS, _LOOK_AGAIN = 50, 0.0002  # seconds
_SOFT = 1  # omp_pause_soft: keeps the program's settings


def pause() -> list[ctypes.CDLL]:
    """Ends the pools of this process; their next use starts them again. Costs nothing if there are no threads.

    Returns the runtimes that cannot do that, for `restrict` in the children.
    """
    if threads() == 1:
        return []
    runtimes = _runtimes()
    unpaused = [runtime for runtime in runtimes if not _paused(runtime)]
    if len(unpaused) < len(runtimes):
        for _ in range(_LOOKS):  # their threads end by themselves
            if threads() == 1:
                break
            select.select([], [], [], _LOOK_AGAIN)
    return unpaused


def restrict(runtimes: list[ctypes.CDLL]) -> None:
    """From now on these runtimes use only the current thread."""
    for runtime in runtimes:
        runtime.omp_set_num_threads(1)


def _runtimes() -> list[ctypes.CDLL]:
    """The loaded copies of GNU's runtime, under any name: wheels bring their own.

    LLVM's and Intel's runtimes handle forks themselves.
    """
    try:
        with io.FileIO("/proc/self/maps") as maps:
            lines = maps.readall().split(b"\n")
    except OSError:
        return []
    paths = {os.fsdecode(line.split(maxsplit=5)[-1]) for line in lines if b"libgomp" in line}
    loaded = []
    for path in paths:
        try:
            loaded.append(ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY))
        except OSError:  # the file has been renamed or removed
            continue
    return loaded


def _paused(runtime: ctypes.CDLL) -> bool:
    """Whether the runtime has ended its pools, which takes OpenMP 5.0 (GCC 9)."""
    try:
        return bool(runtime.omp_pause_resource_all(_SOFT) == 0)
    except AttributeError:
        return False
