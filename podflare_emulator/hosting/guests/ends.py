"""The descriptors that connect the host with a guest."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from podflare_emulator.hosting.errors import HostingError


class Ends:
    """The descriptors of a guest that is about to be made, to keep and to give away; raises HostingError.

    `with_init`: the guest gets its own init; `init` is our end of the connection with that.
    """

    def __init__(self, *, with_init: bool = False) -> None:
        pipes: list[int] = []
        sockets: list[socket.socket] = []
        try:
            for _ in range(2):
                pipes += os.pipe()
            for _ in range(1 + with_init):
                sockets += socket.socketpair()
        except OSError as error:  # too many open files in this process
            close_all(pipes, sockets)
            raise HostingError(f"no sandbox can be made: {error}") from error
        for number in pipes[1::2]:
            os.fchmod(number, 0o666)  # a program that opens /dev/stderr may run as another user
        self.kept = pipes[0], pipes[2]
        self.socket, *inits = sockets[::2]
        self.init = inits[0] if inits else None
        control, *others = (sock.detach() for sock in sockets[1::2])
        self.given = (control, *pipes[1::2], *others)

    def close_kept(self) -> None:
        close_all(self.kept, [self.socket, *([self.init] if self.init else [])])


def close_all(descriptors: Iterable[int], sockets: Iterable[socket.socket] = ()) -> None:
    for number in descriptors:
        os.close(number)
    for sock in sockets:
        sock.close()


def close_kept(ends: Iterable[Ends]) -> None:
    for end in ends:
        end.close_kept()
