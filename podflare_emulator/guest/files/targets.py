"""Several equal trees that are changed alike: the copies of one tree that are made together."""

from __future__ import annotations

import posix
from collections.abc import Sequence

from .cursor import VANISHED, Cursor
from .removal import remove


class Targets:
    """A position in each of the trees. What has to be known of them is taken from the first."""

    def __init__(self, roots: Sequence[int]) -> None:
        self.cursors: list[Cursor] = []
        try:
            for root in roots:
                self.cursors.append(Cursor(root, unlock=True))
        except OSError:
            self.close()
            raise
        self._first = self.cursors[0]

    @property
    def fd(self) -> int:
        """The directory's descriptor in the first tree."""
        return self._first.fd

    @property
    def fds(self) -> Sequence[int]:
        return [cursor.fd for cursor in self.cursors]

    @property
    def unlocked(self) -> bool:
        return self._first.unlocked

    def path(self, name: str) -> str:
        """The path of an entry of the directory, relative to the root."""
        return self._first.path(name)

    def unlock_root(self) -> None:
        for cursor in self.cursors:
            cursor.unlock_root()

    def enter(self, name: str) -> bool:
        """Goes down into a directory; False if it did not exist and was created."""
        existed = True
        for cursor in self.cursors:
            try:
                cursor.down(name)
            except OSError as error:
                if error.errno not in VANISHED:
                    raise
                existed = False
                remove(cursor.fd, name)
                posix.mkdir(name, 0o700, dir_fd=cursor.fd)
                cursor.down(name)
        return existed

    def enter_later(self, name: str) -> None:
        """As `Cursor.down_later`."""
        for cursor in self.cursors:
            cursor.down_later(name)

    def up(self) -> None:
        for cursor in self.cursors:
            cursor.up()

    def remove(self, name: str) -> None:
        """Removes an entry of the directory, of whatever kind, if there is one."""
        for fd in self.fds:
            remove(fd, name)

    def close(self) -> None:
        for cursor in self.cursors:
            cursor.close()
