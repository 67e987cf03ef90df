"""The zygote: an interpreter with a template's modules loaded, which forks guests on request."""

from __future__ import annotations

import gc
import importlib
import os
import socket
import sys
from typing import Protocol

from ..interpreter.repl import Repl
from ..jail import environment
from ..protocol import Connection, Message
from ..system import heap


class Starter(Protocol):
    """Starts guests. One class gives every family an init, another does not."""

    def start(self, connection: Connection, repl: Repl, ticket: Message, descriptors: list[int]) -> None:
        """Starts a guest with this REPL. `connection` is the zygote's; `descriptors` came with the ticket."""


def main(descriptor: int) -> None:
    connection = Connection(socket.socket(fileno=descriptor))
    arrived = connection.receive()
    if arrived is None:
        return
    template = arrived[0]
    try:
        names = {alias: importlib.import_module(name) for alias, name in template["preload"].items()}
        starter = _starter(template)
    except (ImportError, OSError) as error:
        connection.send({"failed": str(error)})
        return
    repl = _repl()
    repl.globals.update({name: module for name, module in names.items() if name.isidentifier()})
    os.environ.clear()
    os.environ.update(environment.of_sandbox(""))
    sys.argv = [""]
    gc.collect()
    heap.use_huge_pages()
    gc.freeze()  # a collection in a guest must not touch, and so copy, memory that all guests share
    connection.send({"ready": True})
    while (arrived := connection.receive()) is not None:
        message, descriptors = arrived
        starter.start(connection, repl, message, descriptors)
        for number in descriptors:
            os.close(number)


def _starter(template: Message) -> Starter:
    """Loads only what is used: every fork of every guest has to copy what a zygote has loaded."""
    if template["isolation"] == "namespace":
        from .family import Families

        return Families(template["mounts"], template["places"])
    from .keeper_guests import KeeperGuests

    return KeeperGuests(template)


def _repl() -> Repl:
    """The REPL for all guests: what exists before they are forked is in memory only once.

    Its streams remember the kind of file behind their descriptors, so they are opened on pipes, like those of guests.
    """
    kept = [os.dup(number) for number in (1, 2)]
    pipe = os.pipe()
    try:
        for number in (1, 2):
            os.dup2(pipe[1], number)
        return Repl()
    finally:
        for number, place in zip(kept, (1, 2), strict=True):
            os.dup2(number, place)
        for number in (*kept, *pipe):
            os.close(number)
