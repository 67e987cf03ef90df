"""Waiting for bash, and interrupting it: until its end, however short it had run."""

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


def wait(pid: int, interrupted: Callable[[], bool]) -> int:
    """Its exit code; negative where a signal ended it. SIGINT goes to its process group meanwhile.

    `interrupted` tells whether the interrupt came before there was a bash that it could reach.
    """
    sent = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal sent
        sent = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGINT)

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        if interrupted():
            interrupt(signal.SIGINT, None)
        for _ in _looks(pid):
            # bash notes an interrupt in a handler. If it becomes `sleep` by exec before it acts, the note is gone.
            if sent and dies_of(pid, signal.SIGINT):
                interrupt(signal.SIGINT, None)
        _, status = os.waitpid(pid, 0)
        remainders.wait(pid)
        return os.waitstatus_to_exitcode(status)
    except ChildProcessError:  # the user's code ignores the end of its children
        return 0
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if previous is None else previous)


def _looks(pid: int) -> Iterator[None]:
    """Again and again until it ends; at once over where the kernel has no pidfd.

    Each look lets handlers run: a signal that comes just before a system call that waits does not break it off.
    """
    try:
        end = os.pidfd_open(pid)
    except (AttributeError, OSError):  # macOS; Linux before 5.3, or one that refuses
        return
    try:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        while not poll.poll(_LOOK_AGAIN):
            yield
    finally:
        os.close(end)
