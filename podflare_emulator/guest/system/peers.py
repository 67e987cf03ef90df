"""Finds the process at the other end of a TCP connection, on this machine. Linux; elsewhere nothing is found."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator

from .process_table import parent_of, processes

Address = tuple[str, int]

# From linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h; the module `socket` does not have them.
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST = 4, 20, 1
_ALL_STATES, _NO_COOKIE = 0xFFFFFFFF, b"\xff" * 8
_HEADER = struct.Struct("=IHHII")  # length, kind, flags, number, sender
_ENDS = struct.Struct("!HH16s16sI8s")  # ports, addresses, interface, cookie
_INODE_AT = _HEADER.size + 4 + _ENDS.size + 16  # after four small fields, the ends, and four numbers


def comes_from(ancestor: int, peer: Address, here: Address) -> bool:
    """Whether a descendant of the process `ancestor` has the end `peer` of the connection whose other end is `here`.

    A peer that has closed its end counts as a descendant, since nobody can tell whose it was. A process that has made
    itself unreadable (`PR_SET_DUMPABLE`) is not found.
    """
    inode = _inode(peer, here)
    if inode is None:
        return False  # it is on another machine, or in another network namespace
    if inode == 0:
        return True
    name = f"socket:[{inode}]"
    if _has(os.getppid(), name) or _has(os.getpid(), name):  # the test's, which has started this server
        return False
    if any(_has(pid, name) for pid in _descendants(ancestor)):
        return True
    return _inode(peer, here) != inode  # closed during the search


def _inode(local: Address, remote: Address) -> int | None:
    """The inode of a socket in this network namespace; 0 if it is closed but not gone, None if there is none."""
    try:
        family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
        addresses = [socket.inet_pton(family, address) for address, _ in (local, remote)]
        ends = _ENDS.pack(local[1], remote[1], *addresses, 0, _NO_COOKIE)
        request = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, _ALL_STATES) + ends
        head = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
        kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG)
        with kernel:
            kernel.sendto(head + request, (0, 0))
            answer = kernel.recv(8192)
    except (AttributeError, OSError):  # not Linux, or a kernel in user space such as gVisor's
        return None
    if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return None
    (inode,) = struct.unpack_from("=I", answer, _INODE_AT)
    return int(inode)


def _has(pid: int, name: str) -> bool:
    """Whether a process has an open file that /proc shows under this name."""
    directory = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):  # it has ended, or belongs to another user
        for number in os.listdir(directory):
            with contextlib.suppress(OSError):
                if os.readlink(f"{directory}/{number}") == name:
                    return True
    return False


def _descendants(ancestor: int) -> Iterator[int]:
    parents = {pid: parent_of(pid) for pid in processes()}
    for pid in parents:
        above = parents[pid]
        while above != ancestor and above in parents:
            above = parents[above]
        if above == ancestor:
            yield pid
