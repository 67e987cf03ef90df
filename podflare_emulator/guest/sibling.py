"""A fork whose child is no child of this process: user code's `os.wait()` must not find it.

One system call where the kernel lets a new process have its maker's parent (CLONE_PARENT); two forks, with a process
in between that ends at once, everywhere else. Forking is what a live fork's time goes into.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import warnings
from typing import Any

_CLONE_PARENT = 0x00008000
_CLONE_CHILD_CLEARTID = 0x00200000
_CLONE_CHILD_SETTID = 0x01000000
_FLAGS = _CLONE_PARENT | _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID | signal.SIGCHLD
_CLONE = {"x86_64": 56, "aarch64": 220}
_PR_GET_TID_ADDRESS = 40

# pyarrow's allocator, which pandas may load: it is prepared for a fork, and the child does this one's work elsewhere.
_NOT_MISSED = ("jemalloc_bg_thd",)


def fork_sibling() -> int:
    """0 in the child, else something that is true; like `os.fork`, handlers and all. Raises OSError."""
    where = _tid_address() if threads() == 1 else None
    with warnings.catch_warnings():
        # CPython's own, about threads: the answer to the fork tells the user.
        warnings.simplefilter("ignore", DeprecationWarning)
        return _fork_twice() if where is None else _clone(where)


def threads() -> int:
    """How many this process has, those of C libraries included."""
    try:
        return len(os.listdir("/proc/self/task"))
    except FileNotFoundError:
        threading: Any = sys.modules.get("threading")
        return threading.active_count() if threading else 1


def threads_left_behind() -> int:
    """How many of them a forked child will miss."""
    names = []
    with contextlib.suppress(OSError):  # no /proc, or a thread that ends while it is looked at
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/comm", encoding="utf-8", errors="replace") as file:
                names.append(file.read().strip())
    return threads() - 1 - sum(name in _NOT_MISSED for name in names)


def _tid_address() -> ctypes.c_void_p | None:
    """Where the C library keeps this thread's id: the kernel must write the child's there, as `fork` has it do."""
    if sys.platform != "linux" or os.uname().machine not in _CLONE:
        return None
    address = ctypes.c_void_p()
    failed = ctypes.CDLL(None).prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0)
    return None if failed or not address.value else address


def _clone(tid: ctypes.c_void_p) -> int:
    """What `os.fork` does, but for the C library's own locks: with one thread, nobody else can hold them."""
    system_call = ctypes.PyDLL(None, use_errno=True).syscall  # holds the interpreter's lock, as os.fork does
    system_call.restype = ctypes.c_long
    last = (tid, None) if os.uname().machine == "x86_64" else (None, tid)
    ctypes.pythonapi.PyOS_BeforeFork()
    pid: int = system_call(_CLONE[os.uname().machine], ctypes.c_ulong(_FLAGS), None, None, *last)
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    number = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(number, f"clone: {os.strerror(number)}")
    return pid


def _fork_twice() -> int:
    middle = os.fork()
    if middle == 0:
        try:
            if os.fork() == 0:
                return 0
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    _, status = os.waitpid(middle, 0)
    number = os.waitstatus_to_exitcode(status)
    if number:
        raise OSError(number, f"fork: {os.strerror(number)}")
    return middle
