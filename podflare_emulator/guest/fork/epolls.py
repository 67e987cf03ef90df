"""epoll across a live fork: the child gets its own instance with the same interest list.

If it stayed shared, as os.fork leaves it, registrations in the child would wake the parent. An asyncio event loop, for
example, has an epoll instance.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import posix
import struct

_EPOLL_CLOEXEC = 0o2000000
_EPOLL_CTL_ADD = 1
_EVENT = "=IQ" if posix.uname().machine == "x86_64" else "=IxxxxQ"  # the struct is packed only on x86-64


def split(number: int) -> None:
    """In the child: replaces the inherited epoll instance by a new one.

    Registrations that are no longer possible are left out, for example of a descriptor that is closed in the child.
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
