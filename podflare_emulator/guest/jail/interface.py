"""What every isolation backend is to a guest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ..protocol import Message


class Written(NamedTuple):
    """A directory of the host's system that the sandbox has written over."""

    path: str
    tree: int  # a descriptor
    changes: int  # as `Jail.changes`, of this tree


class Stack(Protocol):
    """Layers, the one that is written to over those that are shared."""

    @property
    def depth(self) -> int:
        """How many are shared."""

    def stand_on(
        self, layers: Sequence[int], depth: int, ready: Callable[[str], None] = lambda prefix: None
    ) -> int:
        """Makes others the tree of this process, and of all that will be in its jail; nobody else may be in it now.

        `layers`: descriptors of their overlay, and of the one in it that is written to; it closes them. When all is in
        place but not yet the root, `ready` gets the path below which that can be reached. Raises OSError, that of
        `ready` too, having changed nothing.

        Returns a descriptor of the tree that was: the more it was used, the longer takes the last close.
        """


class Jail(Protocol):
    """What isolation means to a guest; one class a backend."""

    @property
    def root(self) -> str:
        """Where the sandbox's tree is, as this process sees it."""

    @property
    def mounts(self) -> frozenset[str]:
        """What in the tree is the system's, relative to its root."""

    @property
    def prefix(self) -> str:
        """What stands before the sandbox's absolute paths for programs that are not mapped: "" or the root."""

    @property
    def changes(self) -> int | None:
        """Descriptor of a directory with an entry wherever the tree may differ from a new one; None if unknown."""

    @property
    def descriptors(self) -> Sequence[int]:
        """All that it holds, `changes` among them."""

    def written_over(self) -> Sequence[Written]:
        """The descriptors in it are the caller's."""

    @property
    def stack(self) -> Stack | None:
        """What the tree is made of, if that are layers that forks can share."""

    @property
    def left(self) -> str | None:
        """The name of the jail that this process was in before, if the keeper copies trees more quickly than it."""

    def enter(self, tree: str, entrance: Sequence[int]) -> None:
        """`entrance`: the descriptors that came with the jail, which are the jail's from now on."""

    def move(self, tree: str, entrance: Sequence[int]) -> None:
        """From one jail into another; `changes` of the one left stays open."""

    def mark(self) -> str:
        """What tells this sandbox's processes from others, for the init that ends them."""

    def belongs(self, pid: int, message: Message) -> bool:
        """Whether a process is one of the sandbox that the message, like an init's `end`, describes."""

    def resolve(self, path: str, mark: str | None = None) -> str:
        """Where a file is that was `path` to the kernel before the last move, or in the sandbox with this mark."""

    def script(self, code: str) -> str:
        """The bash code to run for the user's."""

    def variables(self) -> dict[str, str]:
        """The environment of a program that is started in the sandbox."""
