"""Starting a guest that has no init of its own: its parent is the keeper. All backends but namespace."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from . import guest
from .jail import directory, preload
from .protocol import Connection, Message

_JAILS: dict[str, Callable[[str, Sequence[str]], guest.Jail]] = {
    "preload": preload.PreloadJail,
    "portable": directory.DirectoryJail,
}


def spawn(
    connection: Connection,
    template: Message,
    names: dict[str, object],
    ticket: Message,
    descriptors: list[int],
) -> None:
    """In a zygote. `names` are what the guest's REPL has from the beginning."""
    control, out, err = descriptors
    middle = os.fork()
    if middle == 0:
        if os.fork() == 0:
            connection.close()
            jail = _JAILS[template["isolation"]](template["state"], template["shared"])
            guest.run(jail, ticket, (), (control, out, err), names)
        os._exit(0)
    os.waitpid(middle, 0)
