"""What every isolation backend offers to a guest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ..protocol import Message


class Written(NamedTuple):
    """A directory of the host's system in which the sandbox has changed something."""

    path: str
    tree: int  # a descriptor
    changes: int  # like `Jail.changes`, for this tree


class Stack(Protocol):
    """Layers: a private one that is written to, on top of shared ones."""

    @property
    def depth(self) -> int:
        """How many layers are shared."""

    def stand_on(
        self, layers: Sequence[int], depth: int, ready: Callable[[str], None] = lambda prefix: None
    ) -> int:
        """Makes other layers the tree of this process and its jail. No other process may be in the jail now.

        `layers`: descriptors of their overlay and of its private layer; it closes them. When everything is mounted, but
        not yet the root, it calls `ready` with the path below which the new tree can be reached. If anything raises
        OSError, `ready` included, nothing has changed.

        Returns a descriptor of the old tree. The more that was used, the longer its last close takes.
        """


class Jail(Protocol):
    """What isolation means to a guest. Each backend has one such class."""

    @property
    def root(self) -> str:
        """Where the sandbox's tree is, as this process sees it."""

    @property
    def mounts(self) -> frozenset[str]:
        """The places in the tree, relative to its root, that belong to the system."""

    @property
    def prefix(self) -> str:
        """What to put before the sandbox's absolute paths for programs that are not mapped: "" or the root."""

    @property
    def changes(self) -> int | None:
        """Descriptor of a directory that has an entry wherever the tree may differ from a new one; None if unknown."""

    @property
    def descriptors(self) -> Sequence[int]:
        """All descriptors that the jail holds, including `changes`."""

    def written_over(self) -> Sequence[Written]:
        """The system directories that have changed. The caller owns the descriptors."""

    @property
    def stack(self) -> Stack | None:
        """The layers of the tree, if it has any that forks can share."""

    @property
    def has_copier(self) -> bool:
        """Whether the keeper can copy trees, and does so faster than this process."""

    def enter(self, tree: str, entrance: Sequence[int]) -> None:
        """`entrance`: the descriptors that came with the jail. From now on they belong to it."""

    def move(self, tree: str, entrance: Sequence[int]) -> None:
        """Moves from one jail to another; the old jail's `changes` stays open."""

    def mark(self) -> str:
        """What distinguishes this sandbox's processes from others, for the init that ends them."""

    def belongs(self, pid: int, message: Message) -> bool:
        """Whether a process belongs to the sandbox that the message describes, such as an init's `end`."""

    def resolve(self, path: str, mark: str | None = None) -> str:
        """The present path of a file whose kernel path was `path` before the last move, or in the sandbox of `mark`."""

    def script(self, code: str) -> str:
        """The bash code to run instead of the user's."""

    def variables(self) -> dict[str, str]:
        """The environment of a program that is started in the sandbox."""
