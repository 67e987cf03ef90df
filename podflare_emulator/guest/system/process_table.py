"""The processes of this machine, from /proc or, on a machine without it, from `ps`."""

from __future__ import annotations

import contextlib
import io
import os

_CHILDREN = "/proc/thread-self/children"


def processes() -> list[int]:
    """The processes that /proc shows; none if there is no /proc."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except FileNotFoundError:
        return []


def children() -> list[int]:
    """The children of this process, whose only thread this is. One may be missing while another one ends."""
    try:
        with io.FileIO(_CHILDREN) as file:
            return [int(word) for word in file.readall().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN, or no /proc
        return [pid for pid in processes() if parent_of(pid) == os.getpid()]


def session(leader: int) -> list[int]:
    """The processes of a session, from `ps`: for machines without /proc (macOS), where the kernel has to be asked."""
    import subprocess  # only these machines need it

    command = ["ps", "-A", "-o", "pid=", "-o", "stat="]
    try:
        listing = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout
    except FileNotFoundError:
        return []
    found = []
    for pid, state in map(str.split, listing.splitlines()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if not state.startswith("Z") and os.getsid(int(pid)) == leader:
                found.append(int(pid))
    return found


def parent_of(pid: int) -> int:
    """0 if the process has ended."""
    status = _status(pid)
    return int(status[1]) if status else 0


def runs_since(pid: int) -> int:
    """When a process was started, in ticks since boot; -1 if it has ended, or there is no /proc."""
    status = _status(pid)
    return int(status[19]) if status and status[0] not in (b"Z", b"X") else -1


def is_stopped(pid: int) -> bool:
    """Whether a signal or a tracer has stopped it."""
    status = _status(pid)
    return bool(status) and status[0] in (b"T", b"t")


def dies_of(pid: int, number: int) -> bool:
    """Whether a signal that ends processes by default would end this one: it is not caught, ignored or blocked."""
    masked = {b"SigBlk:", b"SigIgn:", b"SigCgt:"}
    try:
        with io.FileIO(f"/proc/{pid}/status") as file:
            lines = [line.split() for line in file.readall().splitlines()]
    except OSError:
        return False
    masks = [int(words[1], 16) for words in lines if words and words[0] in masked]
    return len(masks) == len(masked) and not any(mask >> (number - 1) & 1 for mask in masks)


def _status(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat from the state on; empty if the process has ended and was reaped."""
    try:
        with io.FileIO(f"/proc/{pid}/stat") as file:
            return file.readall().rpartition(b")")[2].split()
    except OSError:
        return []
