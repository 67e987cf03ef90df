"""The zygote: an interpreter with a template's modules loaded, which forks guests on request."""

from __future__ import annotations

import gc
import importlib
import os
import socket
from collections.abc import Callable, Sequence

from . import family, guest
from .jail import directory, namespace, preload
from .protocol import Connection, Message

_JAILS: dict[str, Callable[[str, Sequence[str]], guest.Jail]] = {
    "preload": preload.PreloadJail,
    "portable": directory.DirectoryJail,
}


def main(descriptor: int) -> None:
    connection = Connection(socket.socket(fileno=descriptor))
    arrived = connection.receive()
    if arrived is None:
        return
    template = arrived[0]
    try:
        names: dict[str, object] = {
            alias: importlib.import_module(name) for alias, name in template["preload"].items()
        }
    except ImportError as error:
        connection.send({"failed": str(error)})
        return
    gc.collect()
    gc.freeze()  # a collection in a guest must not touch, and so copy, what all guests share
    connection.send({"ready": True})
    spawn = _spawn_in_namespace if template["isolation"] == "namespace" else _spawn_in_directory
    while (arrived := connection.receive()) is not None:
        message, descriptors = arrived
        spawn(connection, template, names, message, descriptors)
        for number in descriptors:
            os.close(number)


def _spawn_in_namespace(
    connection: Connection,
    template: Message,
    names: dict[str, object],
    ticket: Message,
    descriptors: list[int],
) -> None:
    control, out, err, channel, entrance = descriptors

    def run_guest() -> None:
        os.close(channel)
        guest.run(namespace.NamespaceJail(), ticket, entrance, (control, out, err), names)

    def run_init() -> None:
        connection.close()
        family.run(
            channel, (control, out, err, entrance), run_guest, ram_mib=ticket["ram_mib"], complaints=err
        )

    namespace.start_family(run_init, egress=ticket["egress"])


def _spawn_in_directory(
    connection: Connection,
    template: Message,
    names: dict[str, object],
    ticket: Message,
    descriptors: list[int],
) -> None:
    control, out, err = descriptors
    middle = os.fork()
    if middle == 0:
        if os.fork() == 0:
            connection.close()
            jail = _JAILS[template["isolation"]](template["state"], template["shared"])
            guest.run(jail, ticket, -1, (control, out, err), names)
        os._exit(0)
    os.waitpid(middle, 0)
