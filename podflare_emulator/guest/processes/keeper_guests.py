"""Starts guests that have no family init: their parent is the keeper. For all backends except namespace."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence

from ..interpreter import guest
from ..interpreter.repl import Repl
from ..jail import preload
from ..jail.interface import Jail
from ..jail.portable import inside, mapping
from ..protocol import Connection, Message, encode
from ..system import kernel, landlock, root_emulation
from ..system.siblings import fork_siblings

_JAILS: dict[str, Callable[[str, Sequence[str]], Jail]] = {
    "preload": preload.PreloadJail,
    "portable": inside.DirectoryJail,
}


class KeeperGuests:
    """In a zygote: starts such guests."""

    def __init__(self, template: Message) -> None:
        self._template = template
        if template["isolation"] == "preload":
            preload.check_variables()
        else:
            mapping.install()
        if landlock.abi() and root_emulation.is_needed():
            with contextlib.suppress(OSError):  # without it, the kernel refuses as usual
                kernel.give_up_new_privileges()  # Landlock requires it of every guest anyway
                root_emulation.begin()

    def start(self, connection: Connection, repl: Repl, ticket: Message, descriptors: list[int]) -> None:
        control, out, err = descriptors
        try:
            is_guest = fork_siblings(1) is not None
        except OSError as error:
            os.write(control, encode({"failed": f"the sandbox's process cannot be started: {error}"}))
            return
        if is_guest:
            connection.close()
            template = self._template
            jail = _JAILS[template["isolation"]](template["state"], template["shared"])
            guest.run(jail, ticket, (), (control, out, err), repl)
