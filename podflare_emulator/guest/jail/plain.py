"""Jails that are plain directories of the host: what the preload and the portable backend have in common."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..files import recycling, tree
from ..protocol import Message
from ..system import kernel, landlock

if TYPE_CHECKING:
    from ..order import Order

# The C library opens semaphores and shared memory itself, and always here; multiprocessing's locks need them.
_SHARED_MEMORY = "/dev/shm"
_OF_STATE = 8  # how many letters of a process's name identify the emulator
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MOST_RESTORED = 32
_WRITABLE = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/ptmx", "/dev/pts", _SHARED_MEMORY)


def guest_code() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def runtime(order: Order) -> list[str]:
    """The host's paths that stay unmapped, in addition to the system: the interpreter, its packages, this code."""
    return [order.python.prefix, *order.python.path, guest_code()]


def start_keeper(run: Callable[[Callable[[], Keep]], None], build: Callable[[], Keep]) -> tuple[int, None]:
    """Warden: forks the keeper, which adopts the processes that guests leave behind; returns its number."""
    keeper = os.fork()
    if keeper == 0:
        kernel.adopt_orphans()
        run(build)
    return keeper, None


def confine(state: str) -> None:
    """If the kernel can: no descendant may write outside the sandboxes' directories, or signal other processes.

    They may write in all sandboxes' directories, because forked children need their own, and to devices.
    """
    landlock.restrict_writes([f"{state}/jails", *_WRITABLE], scope_signals=True)


def nothing_written_over() -> tuple[()]:
    """The host's system is read-only."""
    return ()


class Keep:
    """Makes directories for sandboxes.

    `executable` is the interpreter's file, `python` the name that it is started by; `shared` is passed to the zygotes.
    """

    places = mounts = ()  # no layers over the host's system: nothing writes to it
    no_layers = "its sandboxes' directories are copies"
    held: Mapping[str, int] = {}  # directories need no descriptors to keep them alive

    def __init__(
        self, state: str, *, executable: str, python: str, environment: dict[str, str], shared: Sequence[str]
    ) -> None:
        self.state = state
        self.name = os.path.basename(state)
        self.executable = executable
        self.python = python
        self.environment = environment
        self.shared = shared
        self.guest_code = guest_code()
        self._baselines: dict[str, int] = {}
        self._restored: list[str] = []  # restored jails, free for new sandboxes
        self.jails = os.open(f"{state}/jails", _DIRECTORY)

    def prepare(self, name: str) -> tuple[list[int], int]:
        """Makes a copy of the base tree. Returns the time (ns) before which the user has changed nothing in it."""
        if self._restored:
            os.rename(self._restored.pop(), name, src_dir_fd=self.jails, dst_dir_fd=self.jails)
        else:
            tree.copy(f"{self.state}/base", f"{self.state}/jails/{name}")
        self._baselines[name] = tree.now()
        return [], self._baselines[name]

    def copy(self, source: str, targets: Sequence[str], *, skip: Sequence[str], since: int) -> list[str]:
        """Makes new jails equal to another, as `tree.synchronize` does; nothing may change in the other meanwhile.

        In guests, every path is mapped, which takes most of a copy's time. Here no path is.
        """
        before, *after = (f"{self.state}/jails/{name}" for name in (source, *targets))
        descriptors = [os.open(path, _DIRECTORY) for path in (before, *after)]
        try:
            return tree.synchronize(
                *descriptors,
                skip=skip,
                untouched_since=since,
                resolve=lambda path, index: _moved(path, before, after[index]),
            )
        finally:
            for number in descriptors:
                os.close(number)

    def take_back(self, name: str, *, left: bool) -> list[str]:
        """The names of what is to be removed: nothing if the jail could be restored.

        `left`: whether all processes in it are known to have ended.
        """
        baseline = self._baselines.pop(name, None)
        if baseline is None or not left or len(self._restored) == _MOST_RESTORED or not self._restores:
            return [name]
        base = os.open(f"{self.state}/base", _DIRECTORY)
        try:
            restored = recycling.restore(base, self.jails, name, baseline)
        finally:
            os.close(base)
        if restored:
            self._restored.append(name)
        return [] if restored else [name]

    @functools.cached_property
    def _restores(self) -> bool:
        return recycling.is_safe(self.state)

    @staticmethod
    def belongs(pid: int, message: Message) -> bool:
        """By session, name, environment or working directory; a process that has changed all four is not found.

        A process that has the name of another sandbox's processes belongs to that sandbox.
        """
        with contextlib.suppress(OSError, IndexError):
            with open(f"/proc/{pid}/stat", "rb") as file:
                head, _, tail = file.read().rpartition(b") ")
            fields = tail.split()
            if fields[0] in (b"Z", b"X"):
                return False
            mark: str = message["mark"]
            name = head.rpartition(b"(")[2].decode("ascii", "replace")
            own = _name(mark)
            # The guest leads its session. Once it has ended, its number may be reused: `pid` is 0 then.
            if (message["pid"] and int(fields[3]) == message["pid"]) or name == own:
                return True
            if name[:_OF_STATE] == own[:_OF_STATE]:
                return False  # a shortcut: there may be hundreds of these
            with open(f"/proc/{pid}/environ", "rb") as file:
                if os.fsencode(mark) in file.read().split(b"\0"):
                    return True
            tree = mark.partition("=")[2]
            return f"{os.readlink(f'/proc/{pid}/cwd')}/".startswith(f"{tree}/")
        return False


class Whereabouts:
    """Which directory this process is in, and which it was in before the last move.

    Every program that a sandbox starts has the directory in its environment, as the value of `variable`.
    """

    def __init__(self, variable: str) -> None:
        self._variable = variable
        self.tree = ""
        self._before = ""

    def take(self, tree: str) -> None:
        self._before, self.tree = self.tree, tree
        kernel.name_process(_name(self.mark))

    @property
    def mark(self) -> str:
        return f"{self._variable}={self.tree}"

    def resolve(self, path: str, mark: str | None = None) -> str:
        """The present path of a file whose kernel path was `path` before the last move, or in the sandbox of `mark`."""
        before = self._before if mark is None else mark.partition("=")[2]
        return _moved(path, before, self.tree)


def _moved(path: str, before: str, after: str) -> str:
    """The path in the directory `after` that corresponds to `path` in `before`; other paths stay as they are."""
    return after + path[len(before) :] if path == before or path.startswith(f"{before}/") else path


def _name(mark: str) -> str:
    """A process name that identifies a guest and its forks. Programs that they start are known by the variable instead.

    It must be unique among emulators: the end of the state directory's random name, and the jail's. Linux keeps 15
    bytes.
    """
    state, _, jail = mark.rsplit("/", 2)
    return f"{state[-_OF_STATE:]}{jail}"[:15]
