"""The portable backend, inside: a sandbox's directory is a plain directory of the host's, and paths are mapped to it.

No help from the kernel but Landlock, where it has that: what escapes the mapping may read the host, not write it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence

from .. import base, environment, tree
from ..order import Order
from ..protocol import Message
from . import kernel, landlock, portable

_MARK = "PODFLARE_SANDBOX"
_WRITABLE_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/ptmx", "/dev/pts")


def shared(order: Order) -> list[str]:
    """What sandboxes see of the host as it is: the system, the interpreter, its packages and this code."""
    return [*portable.SYSTEM_DIRECTORIES, order.python.prefix, *order.python.path, guest_code()]


def guest_code() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def build_base(order: Order) -> None:
    """Warden: the base tree."""
    tree = f"{order.state}/base"
    base.build(
        tree,
        python=order.python.executable,
        version=order.python.version,
        path=order.python.path,
        seeds=order.seeds,
    )
    portable.write_boot(tree + base.PACKAGES.format(version=order.python.version), guest_code())


def start_keeper(order: Order, run: Callable[[Callable[[], Keep]], None]) -> None:
    """Warden: forks the keeper, which adopts what guests leave behind."""
    if os.fork() == 0:
        kernel.adopt_orphans()
        run(lambda: Keep(order))


class Keep:
    """The maker of directories."""

    def __init__(self, order: Order) -> None:
        self.state = order.state
        self.name = os.path.basename(order.state)
        self.shared = shared(order)
        self.guest_code = guest_code()
        self.python = f"{order.state}/base{base.VENV}/bin/python3"
        self.environment = environment.of_zygote(f"{order.state}/base")

    def prepare(self, name: str) -> tuple[None, int]:
        """A copy of the base tree, and the time (ns) before which nothing in it is the user's."""
        tree.copy(f"{self.state}/base", f"{self.state}/jails/{name}")
        return None, tree.now()

    @staticmethod
    def belongs(pid: int, message: Message) -> bool:
        """By session, name or environment; what has changed all three is not found."""
        with contextlib.suppress(OSError, IndexError):
            with open(f"/proc/{pid}/stat", "rb") as file:
                head, _, tail = file.read().rpartition(b") ")
            fields = tail.split()
            if fields[0] in (b"Z", b"X"):
                return False
            mark = message["mark"].encode()
            if int(fields[3]) == message["session"] or head.endswith(b"(" + mark):
                return True
            with open(f"/proc/{pid}/environ", "rb") as file:
                return f"{_MARK}={message['mark']}".encode() in file.read().split(b"\0")
        return False


class DirectoryJail:
    """The directory that this process's paths are mapped to."""

    mounts: frozenset[str] = frozenset()

    def __init__(self, state: str, version: str, shared: Sequence[str]) -> None:
        self.root = ""
        self._state = state
        self._version = version
        self._shared = shared
        self._before = ""  # the root before the last move

    @property
    def prefix(self) -> str:
        return self.root

    def enter(self, tree: str, entrance: int) -> None:
        self._take(tree)
        self._map = portable.PathMap(tree, self._shared)
        os.chdir(f"{tree}/root")
        # From here on nothing outside the sandboxes' directories can be written, by any descendant, and no process
        # of another family can be signalled. Forked children must write their own directories: they are in too.
        landlock.restrict_writes([f"{self._state}/jails", *_WRITABLE_DEVICES], scope_signals=True)
        portable.activate(self._map)
        venv = f"{self._state}/base{base.VENV}"
        sys.path[:] = [path.replace(venv, base.VENV) for path in sys.path]
        sys.prefix = sys.exec_prefix = base.VENV
        sys.executable = f"{base.VENV}/bin/python3"

    def move(self, tree: str, entrance: int) -> None:
        self._take(tree)
        portable.move(tree)

    def _take(self, tree: str) -> None:
        self._before, self.root = self.root, tree
        kernel.name_process(self.mark())

    def mark(self) -> str:
        return f"sbx-{os.path.basename(self.root)}"

    def resolve(self, path: str) -> str:
        """Where a file that the kernel knew as `path` before the last move is now."""
        if path == self._before or path.startswith(f"{self._before}/"):
            return self.root + path[len(self._before) :]
        return path

    def script(self, code: str) -> str:
        return portable.shell_command(code, self._map)

    def variables(self) -> dict[str, str]:
        """What programs started in the sandbox need to find their way."""
        return {
            **environment.of_sandbox(self.root),
            **portable.bash_environment(self._map),
            **portable.child_environment(self._map, guest_code()),
            _MARK: self.mark(),
        }
