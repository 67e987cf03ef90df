"""epoll across a live fork: a child's has the same interests as its parent's, and is another.

Shared, as os.fork leaves it, what the child registers would wake the parent: an asyncio event loop has one.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import platform
import posix
import struct

_EPOLL_CLOEXEC = 0o2000000
_EPOLL_CTL_ADD = 1
_EVENT = "=IQ" if platform.machine() == "x86_64" else "=IxxxxQ"  # packed there, and only there


def split(number: int) -> None:
    """In the child: puts an epoll of its own in the place of the inherited one.

    What was registered and cannot be any more, such as a descriptor that is closed in here, is left out.
    """
    libc = ctypes.CDLL(None)
    own = libc.epoll_create1(_EPOLL_CLOEXEC)
    if own < 0:
        return
    with contextlib.closing(io.FileIO(f"/proc/self/fdinfo/{number}")) as file:
        lines = file.readall().splitlines()
    for line in lines:
        words = line.split()
        if words[:1] == [b"tfd:"]:  # tfd: 5 events: 19 data: 5 ..., the last two in hexadecimal
            watched, events, data = int(words[1]), int(words[3], 16), int(words[5], 16)
            libc.epoll_ctl(own, _EPOLL_CTL_ADD, watched, struct.pack(_EVENT, events, data))
    posix.dup2(own, number, posix.get_inheritable(number))
    posix.close(own)
