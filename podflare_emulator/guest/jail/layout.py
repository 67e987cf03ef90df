"""Which of the host's directories a jail shows, and where."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..system import kernel

if TYPE_CHECKING:
    from ..order import Python

RUNTIME = "/.podflare"  # the interpreter, its packages and this code; `find /root /tmp` does not list it
GUEST_CODE = f"{RUNTIME}/guest"
HOSTNAME = "sandbox"

SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix")
HOST_ETC = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "debian_version",
    "fonts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "lsb-release",
    "magic",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "pki",
    "protocols",
    "services",
    "ssl",
    "terminfo",
)
PROC_FLAGS = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC


def below_system(path: str) -> bool:
    return any(path == f"/{name}" or path.startswith(f"/{name}/") for name in SYSTEM)


class Layout:
    """Where the host's directories appear in a jail: the interpreter and its packages at neutral places."""

    def __init__(self, python: Python) -> None:
        self.pins = {os.path.dirname(os.path.dirname(__file__)): GUEST_CODE}  # host directory -> place inside
        self._is_whole = bool(python.root)  # everything appears at its original place
        self.executable = self._place(python.prefix, python.executable, f"{RUNTIME}/python")
        # An interpreter with a shared library looks for it where it was installed, not where it is now.
        moved = python.library and not self._is_whole and not below_system(python.library)
        self.library = self._place(python.library, python.library, f"{RUNTIME}/library") if moved else ""
        self.path = [
            self._place(directory, directory, f"{RUNTIME}/packages/{number}")
            for number, directory in enumerate(python.path)
        ]

    def _place(self, tree: str, path: str, place: str) -> str:
        """Where `path`, which is in `tree`, appears inside. Pins `tree` at `place` unless it is visible already."""
        if self._is_whole or below_system(tree):
            return path
        for pinned, seen in self.pins.items():
            if path == pinned or path.startswith(f"{pinned}/"):
                return seen + path[len(pinned) :]
        self.pins[tree] = place
        return place + path[len(tree) :]


def pin(layout: Layout) -> None:
    """Binds what is to appear inside below the current directory, under names that any id can reach."""
    for index, directory in enumerate(layout.pins):
        os.makedirs(f"pins/{index}")
        kernel.bind(directory, f"pins/{index}")
