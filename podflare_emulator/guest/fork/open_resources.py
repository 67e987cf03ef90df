"""What a process holds open in the sandbox's tree, and how it moves to another tree with the same files."""

from __future__ import annotations

import _socket
import posix
from collections.abc import Callable, Collection
from functools import partial

from . import databases, epolls, handles, locks, mappings

# Kinds of descriptors that lead to nothing in the tree, and kinds that others may find by a name in it.
_PLACELESS = ("epoll", "eventfd", "pidfd", "signalfd", "terminal", "timerfd")
_WITH_A_NAME = ("pipe", "socket")


class OpenResources:
    """The open files, shared mappings, database connections and working directory of this process, right now.

    `ignore`: descriptors that are not the user's.
    """

    def __init__(self, root: str, *, ignore: Collection[int]) -> None:
        self._handles = handles.record(root, ignore=ignore)
        self._mappings = mappings.record(root)
        files = [number for handle in self._handles.handles for number in handle.numbers]
        self._databases = databases.record(files)
        self._locks = locks.record(files)
        self._ready: list[partial[None]] = []
        try:
            self._directory: str | None = posix.getcwd()
        except FileNotFoundError:
            self._directory = None

    @property
    def pipes(self) -> list[int]:
        """The descriptors of pipes."""
        return [number for number, kind in self._handles.shared if kind == "pipe"]

    @property
    def can_move(self) -> bool:
        """Whether everything that this process holds open can move to another tree: see `prepare`."""
        being_listed = any(handle.is_directory and handle.offset for handle in self._handles.handles)
        return not being_listed and all(
            kind in _PLACELESS or (kind in _WITH_A_NAME and not _has_name(number, kind))
            for number, kind in self._handles.shared
        )

    def prepare(self, prefix: str) -> None:
        """Opens the same files in another tree, below `prefix`.

        For the process itself, before the tree becomes its root. Call `go_on` after that. If it raises OSError,
        nothing has changed.
        """
        try:
            for handle, number in self._handles.open_again(lambda path: prefix + path):
                self._ready.append(partial(handle.put, number))
            for mapping in self._mappings:
                if mapping.has_name:
                    number = mapping.open_again(lambda path: prefix + path)
                    self._ready.append(partial(mapping.put, number))
        except OSError:
            self.give_up()
            raise

    def give_up(self) -> None:
        """Closes what was prepared: it is not needed."""
        for put in self._ready:
            posix.close(put.args[0])
        self._ready.clear()

    def go_on(self) -> None:
        """Replaces the old files and mappings by the prepared ones."""
        for put in self._ready:
            put()
        for database in self._databases:
            database.renew(str)
        for lock in self._locks:
            lock.take()
        self._return("", str)

    def renew(
        self, root: str, *, resolve: Callable[[str], str] = str, forked: bool = False, own: bool = False
    ) -> list[str]:
        """Makes everything that is open lead into the tree that is now at `root`.

        Args:
            resolve: maps a file's old path to its present one.
            forked: whether this process is a child of the one that opened everything.
            own: whether files may be in a shared layer.

        Returns:
            A message for each resource that could not be restored.
        """
        problems = self._handles.reopen(resolve=resolve, own=own)
        for mapping in self._mappings:
            problems += mapping.renew(self._handles, resolve, own=own)
        for database in self._databases:
            database.renew(resolve)
        if forked:
            for number, kind in self._handles.shared:
                if kind == "epoll":
                    epolls.split(number)
            for lock in self._locks:
                lock.take()
        self._return(root, resolve)
        return problems

    def _return(self, root: str, resolve: Callable[[str], str]) -> None:
        """Changes to the working directory; if that was removed or can no longer be entered, to an empty directory."""
        if self._directory is not None:
            try:
                posix.chdir(resolve(self._directory))
                return
            except OSError:
                pass
        number = handles.open_removed_directory(f"{root}/.removed")
        posix.fchdir(number)
        posix.close(number)


def _has_name(number: int, kind: str) -> bool:
    """Whether a pipe or a socket may have a name in the tree."""
    if kind == "pipe":
        return posix.readlink(f"/proc/self/fd/{number}").startswith("/")
    try:
        sock = _socket.socket(fileno=posix.dup(number))
        try:
            name = sock.getsockname() if sock.family == _socket.AF_UNIX else ""
        finally:
            sock.close()
    except OSError:
        return True
    return isinstance(name, str) and bool(name)
