"""Resets what a sandbox's processes must not inherit from the program that started the emulator.

`nohup` and a script's background jobs leave signals ignored. A shell, a supervisor or a CI runner has its own umask,
nice value and limits. Its working directory, environment and terminal are dropped when the warden is started.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal

_UMASK = 0o022
_STACK = 8 << 20  # the kernel's default; threads get stacks of this size too
_PYTHONS_OWN = {getattr(signal, name, None) for name in ("SIGPIPE", "SIGXFSZ")}  # ignored by every Python
_RAISED = ("AS", "CPU", "DATA", "FSIZE", "MEMLOCK", "MSGQUEUE", "NPROC", "RSS", "SIGPENDING")


def forget() -> None:
    """The warden calls this first, because everything that the emulator starts descends from it.

    Hard limits stay, since an ordinary user cannot raise them. So do the nice value and the scheduling
    policy if this process may not change them.
    """
    for number in signal.valid_signals() - _PYTHONS_OWN - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(_UMASK)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    if hasattr(os, "sched_setscheduler"):  # a batch job or `chrt --idle` has set another policy
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    for name in _RAISED:
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is not None:
            _set_soft(kind, resource.RLIM_INFINITY)
    _set_soft(resource.RLIMIT_STACK, _STACK)
    _set_soft(resource.RLIMIT_CORE, 0)


def _set_soft(kind: int, wanted: int) -> None:
    """Sets the soft limit to `wanted`, or as near to it as the hard limit allows."""
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY and (wanted == resource.RLIM_INFINITY or wanted > hard):
        wanted = hard
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (wanted, hard))
