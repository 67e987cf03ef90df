"""Runs a program of another tree's, with that tree as its root: to ask its Python about itself, before any sandbox."""

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
    """Receives `root` and `command`; its output goes to this process's own streams. Sends `failed` if it cannot start.

    The program has the rights of a sandbox's root, not of whoever started the emulator.
    """
    connection = Connection(socket.socket(fileno=descriptor))
    arrived = connection.receive()
    if arrived is None:
        return
    order, _ = arrived
    inside = ids.choose()
    if inside.count == ids.COUNT:
        _shift_owners(order["root"], inside)
    os.chdir(order["root"])  # the way there may be closed to those ids

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
    """As sandboxes will see the tree, if this kernel can."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    with contextlib.suppress(OSError), ids.namespace_of(inside) as namespace:
        kernel.attach(kernel.shifted(root, namespace), root)
