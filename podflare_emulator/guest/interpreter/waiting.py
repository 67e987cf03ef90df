"""Starts bash and waits for it, and passes interrupts on to it until its end, even if it has just started."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from ..system.process_table import dies_of
from . import remainders

_LOOK_AGAIN = 50  # ms


def run(start: Callable[[], int], interrupted: Callable[[], bool]) -> int:
    """Waits for bash and returns its exit code; negative if a signal ended it. SIGINT goes to its process group.

    `start` starts it and returns its number; if that raises OSError, so does this. `interrupted` tells whether the
    interrupt came before this was called.
    """
    pid = 0
    sent = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal sent
        sent = True
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGINT)

    # Before bash starts: a program inherits signals that are ignored, as user code may have ignored this one.
    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        pid = start()
        if sent or interrupted():
            interrupt(signal.SIGINT, None)
        for _ in _looks(pid):
            # bash only notes an interrupt in its handler. If it execs `sleep`, say, before it acts, the note is lost.
            if sent and dies_of(pid, signal.SIGINT):
                interrupt(signal.SIGINT, None)
        _, status = os.waitpid(pid, 0)
        remainders.wait(pid)
        return os.waitstatus_to_exitcode(status)
    except ChildProcessError:  # user code ignores SIGCHLD
        return 0
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if previous is None else previous)


def _looks(pid: int) -> Iterator[None]:
    """Yields regularly until the process ends; yields nothing if the kernel has no pidfd.

    Each time, Python's handlers can run: a signal that arrives just before a blocking system call does not interrupt
    it.
    """
    try:
        end = os.pidfd_open(pid)
    except (AttributeError, OSError):  # macOS, Linux before 5.3, or a filter of system calls
        return
    try:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        while not poll.poll(_LOOK_AGAIN):
            yield
    finally:
        os.close(end)
