"""The zygote: an interpreter with a template's modules loaded, which forks guests on request."""

from __future__ import annotations

import gc
import importlib
import os
import socket

from .protocol import Connection


def main(descriptor: int) -> None:
    connection = Connection(socket.socket(fileno=descriptor))
    arrived = connection.receive()
    if arrived is None:
        return
    template = arrived[0]
    # Only what is used: whatever a zygote has loaded, every fork of every guest has to copy.
    if template["isolation"] == "namespace":
        from .family import spawn
    else:
        from .single import spawn
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
    while (arrived := connection.receive()) is not None:
        message, descriptors = arrived
        spawn(connection, template, names, message, descriptors)
        for number in descriptors:
            os.close(number)
