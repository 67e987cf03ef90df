"""The init of one family (a sandbox and all its forks) under the namespace backend: process 1 of their namespace."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence

from .jail import namespace
from .protocol import Connection
from .reaper import Reaper


def run(channel: int, guests: Sequence[int], run_guest: Callable[[], None]) -> None:
    """Forks the first guest and serves the host; when the host closes `channel`, the kernel ends the whole family.

    `guests` are the descriptors that only the guest needs. Does not return.
    """
    if os.fork() == 0:
        try:
            run_guest()
        finally:
            os._exit(1)
    for number in guests:
        os.close(number)
    try:
        Reaper(Connection(socket.socket(fileno=channel)), namespace.belongs).serve()
    finally:
        os._exit(0)
