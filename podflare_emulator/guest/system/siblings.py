"""A fork whose child is not a child of this process: user code's `os.wait()` must not find it, nor a zygote reap it.

With CLONE_PARENT the new process gets the parent of this one, which takes one system call. Where that does not work,
it takes two forks, with a process in between that ends at once. A live fork spends most of its time here.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from . import kernel

_CLONE_PARENT = 0x00008000
_CLONE_CHILD_CLEARTID = 0x00200000
_CLONE_CHILD_SETTID = 0x01000000
_FLAGS = _CLONE_PARENT | _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID | signal.SIGCHLD
_CLONE = {"x86_64": 56, "aarch64": 220}
_PR_GET_TID_ADDRESS = 40

# A thread of pyarrow's allocator, which pandas may load. The allocator can be forked: in the child, other threads do
# the work of this one.
_NOT_MISSED = ("jemalloc_bg_thd",)


def fork_siblings(count: int, namespaces: int = 0) -> int | None:
    """Forks `count` siblings. Returns the child's number, from 0, in a child, and None in this process.

    Like `os.fork`, including its handlers. Each starts in new `namespaces` (CLONE_NEWPID and so on). Raises OSError if
    one cannot be made; those made before it run. Beside other threads it cannot tell if user code ignores SIGCHLD.
    """
    where = _tid_address() if threads() == 1 else None
    if where is not None:
        return _clone(count, _FLAGS | namespaces, where)
    return next((number for number in range(count) if _fork_twice(namespaces)), None)


def threads() -> int:
    """How many threads this process has, including those of C libraries."""
    try:
        return os.stat("/proc/self/task").st_nlink - 2  # each thread has a directory
    except FileNotFoundError:
        threading: Any = sys.modules.get("threading")
        return threading.active_count() if threading else 1


def threads_left_behind() -> int:
    """How many threads a forked child will miss."""
    count = threads()
    if count == 1:
        return 0
    names = []
    with contextlib.suppress(OSError):  # there is no /proc, or a thread ends during the check
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/comm", encoding="utf-8", errors="replace") as file:
                names.append(file.read().strip())
    return count - 1 - sum(name in _NOT_MISSED for name in names)


@functools.cache
def _tid_address() -> ctypes.c_void_p | None:
    """Where the C library keeps this thread's id: the kernel must write the child's id there, as for `fork`.

    It is the same in a child, and only the first threads of zygotes and guests call this.
    """
    if sys.platform != "linux" or os.uname().machine not in _CLONE:
        return None
    address = ctypes.c_void_p()
    failed = ctypes.CDLL(None).prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0)
    if failed or not address.value:
        return None
    # Under musl the address that the kernel clears at a thread's end is that of a lock.
    return address if ctypes.c_int.from_address(address.value).value == os.getpid() else None


class _Calls(NamedTuple):
    """The functions of the C library and of Python that a fork calls, resolved before it.

    Otherwise each child would resolve them again, in private memory. `tid_before_tls`: the order of clone's last two
    arguments.
    """

    system_call: Callable[..., int]
    clone: int
    tid_before_tls: bool
    before: Callable[[], None]
    in_child: Callable[[], None]
    in_parent: Callable[[], None]


@functools.cache
def _calls() -> _Calls:
    system_call = ctypes.PyDLL(None, use_errno=True).syscall  # holds the interpreter's lock, as os.fork does
    system_call.restype = ctypes.c_long
    machine = os.uname().machine
    api = ctypes.pythonapi
    hooks = api.PyOS_BeforeFork, api.PyOS_AfterFork_Child, api.PyOS_AfterFork_Parent
    return _Calls(system_call, _CLONE[machine], machine == "x86_64", *hooks)


def _clone(count: int, flags: int, tid: ctypes.c_void_p) -> int | None:
    """Does what `os.fork` does, except for the C library's locks: with one thread, nobody else can hold them.

    As little as possible happens between two clones: after each, every page that is written has to be copied again.
    """
    calls = _calls()
    arguments = (
        calls.clone,
        ctypes.c_ulong(flags),
        None,
        None,
        *((tid, None) if calls.tid_before_tls else (None, tid)),
    )
    clone = calls.system_call
    calls.before()
    pid = 0
    for child in range(count):
        pid = clone(*arguments)
        if pid == 0:
            calls.in_child()
            return child
        if pid < 0:
            break
    reason = ctypes.get_errno()
    calls.in_parent()
    if pid < 0:
        raise OSError(reason, f"clone: {os.strerror(reason)}")
    return None


def _fork_twice(namespaces: int) -> bool:
    """Whether this is the child."""
    with warnings.catch_warnings():
        # CPython's warning about threads: the answer to the fork tells the user about them.
        warnings.simplefilter("ignore", DeprecationWarning)
        middle = os.fork()
        if middle == 0:
            try:
                if namespaces:
                    kernel.unshare(namespaces)
                if os.fork() == 0:
                    return True
            except OSError as error:
                os._exit(error.errno or 1)
            os._exit(0)
    try:
        _, status = os.waitpid(middle, 0)
    except ChildProcessError:
        return False  # user code ignores SIGCHLD, or has waited in its handler: how it ended is unknown
    number = os.waitstatus_to_exitcode(status)
    if number:
        raise OSError(number, f"fork: {os.strerror(number)}")
    return False
