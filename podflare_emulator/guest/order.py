"""What the host asks its processes to set up, as it travels in the first message."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .protocol import Message


@dataclass(frozen=True)
class Python:
    """The interpreter that guests run: a base installation, and the directories its packages come from."""

    executable: str
    prefix: str
    library: str  # where its shared library is; "" for an interpreter without one
    version: str  # "3.12"
    path: tuple[str, ...]  # directories beside the standard library, in sys.path's order
    pip: str = ""  # the standard library's own wheel of it, below the prefix, where the path has none
    root: str = (
        ""  # the tree that all these paths are in, where that is the sandboxes' system; "" for the host's own
    )


@dataclass(frozen=True)
class Seed:
    """A file or folder of the user's, copied into every new sandbox."""

    source: str
    target: str


@dataclass(frozen=True)
class Order:
    """Everything the warden must know.

    `state` is the one directory that may be written; unless `on_disk`, what is written in sandboxes is kept in memory
    where the backend can. `network`: "host", "private", or "auto": private if `helper`, the program that makes a way
    out of it, is there and this machine allows it. `drop`: whether packets out of one without are lost, not refused.
    """

    state: str
    isolation: str  # "namespace" or "portable"
    python: Python
    seeds: tuple[Seed, ...]
    on_disk: bool
    network: str
    helper: str
    drop: bool

    def message(self) -> Message:
        return asdict(self)

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
