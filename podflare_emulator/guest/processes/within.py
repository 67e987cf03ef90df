"""Runs a program in another tree, with that as its root: to ask its Python about itself, before any sandbox."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket

from ..jail.namespace import ids
from ..protocol import Connection
from ..system import kernel

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main(descriptor: int) -> None:
    """Receives `root` and `command`; the program inherits this process's streams. Sends `failed` if it cannot start.

    The program has the rights of a sandbox's root, not those of the user who started the emulator.
    """
    connection = Connection(socket.socket(fileno=descriptor))
    arrived = connection.receive()
    if arrived is None:
        return
    order, _ = arrived
    inside = ids.choose()
    if inside.count == ids.COUNT:
        _shift_owners(order["root"], inside)
    os.chdir(order["root"])  # while we can: those ids may not be allowed to reach it

    def enter() -> None:
        try:
            kernel.unshare(kernel.CLONE_NEWNS)
            kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
            if os.path.isdir("proc"):
                kernel.bind("/proc", "proc")
            os.chroot(".")
            program, *arguments = order["command"]
            found = shutil.which(program, path=_PATH)
            missing = [
                name
                for name, there in ((program, found), ("bash", shutil.which("bash", path=_PATH)))
                if not there
            ]
            if missing:
                connection.send({"failed": f"there is no {' and no '.join(missing)} in it"})
                return
            os.execve(str(found), [program, *arguments], {"PATH": _PATH, "HOME": "/"})
        except OSError as error:
            connection.send({"failed": str(error)})

    ids.run_as_root_of(inside, enter)


def _shift_owners(root: str, inside: ids.Ids) -> None:
    """Maps the owners in the tree as sandboxes will see them, if this kernel can."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    with contextlib.suppress(OSError), ids.namespace_of(inside) as namespace:
        kernel.attach(kernel.shifted(root, namespace), root)
