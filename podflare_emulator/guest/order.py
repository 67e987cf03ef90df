"""What the host asks its processes to set up: the content of the first message."""

from __future__ import annotations

from typing import NamedTuple

from .protocol import Message

# Named tuples rather than dataclasses: importing those would take the warden 5 of its 25 ms.


# The programs that can serve the other end of a network's way out, the better one first.
PROGRAMS = ("slirp4netns", "pasta")


class Python(NamedTuple):
    """The interpreter that guests run: a base installation, and the directories its packages come from."""

    executable: str
    prefix: str
    library: str  # where its shared library is; "" for an interpreter without one
    version: str  # "3.12"
    path: tuple[str, ...]  # directories beside the standard library, in sys.path's order
    pip: str = (
        ""  # if the path has no pip: the wheel that the standard library bundles, relative to the prefix
    )
    root: str = ""  # the tree that all these paths are in if sandboxes have their own system, else ""


class Seed(NamedTuple):
    """A file or folder of the user that is copied into every new sandbox."""

    source: str
    target: str


class Order(NamedTuple):
    """Everything the warden must know.

    `state` is the only directory that may be written. Unless `on_disk`, what sandboxes write stays in memory, if the
    backend can do that. `network` is "host", "private" or "auto". "auto" means private if this machine allows it and
    has `helper`, the program that connects a private network to the outside. `drop`: in a private network without that
    connection, packets to the outside are lost instead of refused.
    """

    state: str
    isolation: str  # "namespace", "preload" or "portable"
    python: Python
    seeds: tuple[Seed, ...]
    on_disk: bool
    network: str
    helper: str
    drop: bool

    def message(self) -> Message:
        seeds = [seed._asdict() for seed in self.seeds]
        return {**self._asdict(), "python": self.python._asdict(), "seeds": seeds}

    @classmethod
    def from_message(cls, message: Message) -> Order:
        python = message["python"]
        return cls(
            state=message["state"],
            isolation=message["isolation"],
            python=Python(**{**python, "path": tuple(python["path"])}),
            seeds=tuple(Seed(**seed) for seed in message["seeds"]),
            on_disk=message["on_disk"],
            network=message["network"],
            helper=message["helper"],
            drop=message["drop"],
        )
