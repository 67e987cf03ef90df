"""The namespace backend, inside: a sandbox's directory is its root filesystem (Linux with user namespaces).

The warden starts it (start.py), and the keeper prepares jails (keep.py): mount namespaces whose root is a sandbox's
directory. Zygotes start families here, and guests enter jails.
"""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Callable, Sequence

from ...protocol import Message
from ...system import kernel
from ...system.descriptors import hide
from ...system.siblings import fork_siblings
from .. import environment
from ..interface import Written
from ..layout import PROC_FLAGS
from .meminfo import lay
from .places import written
from .stack import Stack

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def belongs(pid: int, message: Message) -> bool:
    """Whether a process is in the mount namespace that an `end` message names. Zombies are in none."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/mnt") == str(message["mark"])
    return False


def start_family(run_init: Callable[[], None]) -> None:
    """Zygote: forks the small init of a new family, in its own PID namespace and with its own /proc."""
    if fork_siblings(1, kernel.CLONE_NEWPID | kernel.CLONE_NEWNS) is None:
        return
    try:
        kernel.mount("proc", "/proc", "proc", PROC_FLAGS)
        run_init()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


class NamespaceJail:
    """The jail that this process is in: its absolute paths mean the sandbox's files.

    `mounts`: the places in its tree that do not hold files of the sandbox; `places`: those among them that may have
    layers over them; `meminfo`: a descriptor of the file to mount as /proc/meminfo, if that is not the kernel's.
    """

    root = "/"
    prefix = ""
    stack: Stack | None = None
    has_copier = False
    belongs = staticmethod(belongs)

    def __init__(self, mounts: Sequence[str], places: Sequence[str], meminfo: int | None = None) -> None:
        self._meminfo = meminfo
        self.mounts = frozenset(mounts)
        self._places = places
        self._system: int | None = None

    @property
    def changes(self) -> int | None:
        return self.stack.layer if self.stack else None

    @property
    def descriptors(self) -> Sequence[int]:
        return [number for number in (self.changes, self._system) if number is not None]

    def enter(self, tree: str, entrance: Sequence[int]) -> None:
        """First entry, from the zygote's root; gives up all rights that a sandbox must not have, for good."""
        self._move(*entrance)
        if self._meminfo is not None:
            lay(self._meminfo)
        os.chdir("/root")
        kernel.lock_down()

    def move(self, tree: str, entrance: Sequence[int]) -> None:
        """A live-forked child moves from its parent's jail to its own."""
        with kernel.able_to_move():
            self._move(*entrance)

    def written_over(self) -> list[Written]:
        if self._system is None:
            return []
        return [
            Written(f"/{place}", os.open(f"/{place}", _DIRECTORY), layer)
            for place, layer in written(self._system, self._places)
        ]

    def _move(self, *entrance: int) -> None:
        """Enters the namespaces of mounts and, if there is one, the network; the other descriptors are layers."""
        layers = []
        for number in entrance:
            if kernel.is_namespace(number):
                kernel.setns(number, 0)
                os.close(number)
            else:
                layers.append(number)
        layer, over_system = (*layers, None, None)[:2]
        self.stack = None if layer is None else Stack(layer)
        if self._system is not None:
            os.close(self._system)
        self._system = None if over_system is None else hide(over_system)
        kernel.mount("proc", "/proc", "proc", PROC_FLAGS)  # the family's, over the emulator's

    def resolve(self, path: str, mark: str | None = None) -> str:
        return path

    def script(self, code: str) -> str:
        return code

    def variables(self) -> dict[str, str]:
        return environment.of_sandbox("")

    def mark(self) -> str:
        """What distinguishes this sandbox's processes from others."""
        return os.readlink("/proc/self/ns/mnt")
