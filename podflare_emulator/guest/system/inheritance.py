"""What a process inherits from whoever started the emulator, and a sandbox's processes must not: a fresh start.

`nohup` and a script's background jobs leave signals ignored; a shell, a supervisor or a CI runner has a umask, a nice
value and limits of its own. Its working directory, environment and terminal stay behind where the warden is started.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal

_UMASK = 0o022
_STACK = 8 << 20  # the kernel's own default; a thread's stack is as large
_PYTHONS_OWN = {getattr(signal, name, None) for name in ("SIGPIPE", "SIGXFSZ")}  # ignored by every Python
_RAISED = ("AS", "CPU", "DATA", "FSIZE", "MEMLOCK", "MSGQUEUE", "NPROC", "RSS", "SIGPENDING")


def forget() -> None:
    """In the warden, before it does anything: all that the emulator starts descends from it.

    Hard limits stay, since an ordinary user cannot raise them; so do a nice value and a scheduling
    policy where they may not be changed.
    """
    for number in signal.valid_signals() - _PYTHONS_OWN - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(_UMASK)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    if hasattr(os, "sched_setscheduler"):  # a batch job's, `chrt --idle`'s
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    for name in _RAISED:
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is not None:
            _set_soft(kind, resource.RLIM_INFINITY)
    _set_soft(resource.RLIMIT_STACK, _STACK)
    _set_soft(resource.RLIMIT_CORE, 0)


def _set_soft(kind: int, wanted: int) -> None:
    """As near to it as the hard limit lets it be."""
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY and (wanted == resource.RLIM_INFINITY or wanted > hard):
        wanted = hard
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(kind, (wanted, hard))
