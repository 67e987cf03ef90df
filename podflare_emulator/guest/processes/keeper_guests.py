"""Starting a guest that has no init of its own: its parent is the keeper. All backends but namespace."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from . import guest
from .jail import directory, portable, preload
from .protocol import Connection, Message
from .repl import Repl

_JAILS: dict[str, Callable[[str, Sequence[str]], guest.Jail]] = {
    "preload": preload.PreloadJail,
    "portable": directory.DirectoryJail,
}


class Singles:
    """In a zygote: starts them."""

    def __init__(self, template: Message) -> None:
        self._template = template
        if template["isolation"] == "preload":
            preload.check_variables()
        else:
            portable.install()

    def start(self, connection: Connection, repl: Repl, ticket: Message, descriptors: list[int]) -> None:
        control, out, err = descriptors
        middle = os.fork()
        if middle == 0:
            if os.fork() == 0:
                connection.close()
                template = self._template
                jail = _JAILS[template["isolation"]](template["state"], template["shared"])
                guest.run(jail, ticket, (), (control, out, err), repl)
            os._exit(0)
        os.waitpid(middle, 0)
