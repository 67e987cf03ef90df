"""The init of one family (a sandbox and all its forks) under the namespace backend: process 1 of their namespace."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Sequence

from ..interpreter import guest
from ..interpreter.repl import Repl
from ..jail.namespace import inside
from ..jail.namespace.meminfo import Meminfo
from ..protocol import Connection, Message, encode
from ..system import kernel, landlock, root_emulation
from .reaper import Reaper


class Families:
    """In a zygote: starts guests, each in its own family."""

    def __init__(self, mounts: Sequence[str], places: Sequence[str]) -> None:
        """See `inside.NamespaceJail`."""
        self._jail = mounts, places
        kernel.bound_capabilities()
        if root_emulation.is_needed():
            with contextlib.suppress(OSError):  # without it, the kernel refuses as usual
                root_emulation.begin()
        self._scope = landlock.abstract_socket_scope()

    def start(self, connection: Connection, repl: Repl, ticket: Message, descriptors: list[int]) -> None:
        control, out, err, channel, *entrance = descriptors

        def run_guest(shown: Meminfo | None) -> None:
            os.close(channel)
            jail = inside.NamespaceJail(*self._jail, shown.mount if shown else None)
            guest.run(jail, ticket, entrance, (control, out, err), repl)

        def run_init() -> None:
            connection.close()
            if self._scope is not None:
                landlock.enter(self._scope)
            run(channel, (control, out, err, *entrance), run_guest, ram_mib=ticket["ram_mib"], complaints=err)

        try:
            inside.start_family(run_init)
        except OSError as error:
            os.write(control, encode({"failed": f"the sandbox's init process cannot be started: {error}"}))


def run(
    channel: int,
    guests: Sequence[int],
    run_guest: Callable[[Meminfo | None], None],
    *,
    ram_mib: int | None,
    complaints: int,
) -> None:
    """Forks the first guest and serves the host. When the host closes `channel`, the kernel ends the whole family.

    `guests` are the descriptors that only the guest needs. One of them, `complaints`, is the sandbox's stderr, which
    the watch over `ram_mib`, if there is one, needs too. Does not return.
    """
    shown = None
    if ram_mib is not None:
        with contextlib.suppress(OSError):  # the sandbox then sees the machine's /proc/meminfo
            shown = Meminfo(ram_mib)
    if os.fork() == 0:
        try:
            run_guest(shown)
        finally:
            os._exit(1)
    if ram_mib is not None:
        _watch_memory(ram_mib, os.dup(complaints), shown)
    for number in guests:
        os.close(number)
    try:
        Reaper(Connection(socket.socket(fileno=channel)), inside.belongs).serve()
    finally:
        os._exit(0)


def _watch_memory(ram_mib: int, complaints: int, shown: Meminfo | None) -> None:
    """Watches in a thread of the init: a separate process in the sandbox could be killed by another."""
    from threading import Thread

    from . import memory

    Thread(target=memory.watch, args=(ram_mib, complaints, shown), daemon=True).start()
