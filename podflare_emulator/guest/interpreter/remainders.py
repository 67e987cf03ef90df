"""Processes that bash does not wait for, but a reader of its output does: process substitutions and coprocesses."""

from __future__ import annotations

import contextlib
import os
import select
import stat
from collections.abc import Iterator

from ..system.process_table import processes

_PATIENCE = 1.0  # seconds, for all of them together
_LOOK_AGAIN = 0.002

# See bash.py.
_open, _getpgid = os.open, os.getpgid


def wait(group: int) -> None:
    """After bash has ended: waits for processes in its group that have nothing more to read, if they end soon.

    `>(sort)` and a coprocess read from a pipe that bash wrote to: they are about to write their last lines. A
    server in the background does not read from a pipe, or reads from one that still has a writer.
    """
    waited = 0.0
    while waited < _PATIENCE and _is_there(group) and any(map(_reads_to_its_end, _members(group))):
        select.select([], [], [], _LOOK_AGAIN)
        waited += _LOOK_AGAIN


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


def _members(group: int) -> Iterator[int]:
    for pid in processes():
        with contextlib.suppress(OSError):
            if _getpgid(pid) == group:
                yield pid


def _reads_to_its_end(pid: int) -> bool:
    """Whether its standard input is a pipe without a writer."""
    place = f"/proc/{pid}/fd/0"
    try:
        if not stat.S_ISFIFO(os.stat(place).st_mode):
            return False
        reader = _open(place, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:  # it has ended, or belongs to another user
        return False
    try:
        poll = select.poll()
        poll.register(reader, 0)
        return any(events & select.POLLHUP for _, events in poll.poll(0))
    finally:
        os.close(reader)
