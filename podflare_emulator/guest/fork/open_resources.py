"""What a process holds of the sandbox's tree, and how it goes on with it when the tree is another."""

from __future__ import annotations

import posix
from collections.abc import Callable, Collection

from . import databases, epolls, handles, mappings


class OpenResources:
    """Open files, shared mappings, database connections and the working directory, as they are at this moment.

    `ignore`: descriptors that are not the user's.
    """

    def __init__(self, root: str, *, ignore: Collection[int]) -> None:
        self._handles = handles.record(root, ignore=ignore)
        self._mappings = mappings.record(root)
        self._databases = databases.record(
            number for handle in self._handles.handles for number in handle.numbers
        )
        try:
            self._directory: str | None = posix.getcwd()
        except FileNotFoundError:
            self._directory = None

    @property
    def pipes(self) -> list[int]:
        """Descriptors of pipes."""
        return [number for number, kind in self._handles.shared if kind == "pipe"]

    def renew(self, root: str, *, resolve: Callable[[str], str] = str, forked: bool = False) -> list[str]:
        """Makes all of it lead into the tree that is at `root` now.

        Args:
            resolve: where a file that was at this path is now.
            forked: whether this process is a child of the one that held it.

        Returns:
            A message for each thing that could not be had again.
        """
        problems = self._handles.reopen(resolve=resolve)
        for mapping in self._mappings:
            problems += mapping.renew(self._handles, resolve)
        for database in self._databases:
            database.renew(resolve)
        if forked:
            for number, kind in self._handles.shared:
                if kind == "epoll":
                    epolls.split(number)
        self._return(root, resolve)
        return problems

    def _return(self, root: str, resolve: Callable[[str], str]) -> None:
        """To the working directory; one that was removed, or cannot be entered any more, is an empty one."""
        if self._directory is not None:
            try:
                posix.chdir(resolve(self._directory))
                return
            except OSError:
                pass
        number = handles.open_removed_directory(f"{root}/.removed")
        posix.fchdir(number)
        posix.close(number)
