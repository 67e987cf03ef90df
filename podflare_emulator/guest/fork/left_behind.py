"""The processes that a fork leaves with the parent."""

from __future__ import annotations

import posix
import resource
import signal

from ..system.process_table import processes, runs_since
from .interface import Guest


def processes_of(guest: Guest) -> int:
    """How many processes that the sandbox has started are still running."""
    if _childless() and not guest.has_started:
        return 0
    sandbox = {"mark": guest.jail.mark(), "pid": guest.pid}
    # No process of the sandbox is older than its guest. Without namespaces, most that /proc shows are older.
    born = runs_since(guest.pid)
    younger = (pid for pid in processes() if pid != guest.pid and runs_since(pid) >= born)
    return sum(guest.jail.belongs(pid, sandbox) for pid in younger)


def _childless() -> bool:
    """Whether this process has certainly never started another. Otherwise all processes have to be checked."""
    try:
        posix.waitid(posix.P_ALL, 0, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
    except ChildProcessError:
        waited_for = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt > 0
        return not waited_for and signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
    return False
