"""What one guest gives another beside its history: its files, and the state of its random numbers.

A replay needs it (`show`, `follow`), and a Space that outlives the emulator (`pack`, `unpack`).
"""

from __future__ import annotations

import posix
from collections.abc import Sequence

from ..files import archive as archiving
from ..files import tree
from ..jail.interface import Written
from ..protocol import Message
from ..system.descriptors import close_all
from . import left_behind, randomness
from .interface import Guest
from .open_resources import OpenResources

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC


def show(guest: Guest) -> None:
    """Sends the host what another guest needs to follow this one.

    That is a descriptor of the tree, its mark, the state of the random numbers, and how many processes run; also
    the system directories in which this guest has written, with two descriptors each.
    """
    root = posix.open(guest.jail.root, _DIRECTORY)
    written = guest.jail.written_over()
    descriptors = [root, *(number for over in written for number in (over.tree, over.changes))]
    try:
        shown = {
            "mark": guest.jail.mark(),
            "random": randomness.state(),
            "processes": left_behind.processes_of(guest),
            "written": [over.path for over in written],
        }
        guest.connection.send(shown, descriptors)
    finally:
        close_all(descriptors)


def follow(guest: Guest, shown: Message, descriptors: Sequence[int]) -> Message:
    """Makes this guest's tree equal to the tree of the descriptors, which a replay alone cannot do.

    `shown` is the message that came with them. The answer says how many more processes the other guest has.
    """
    source, *others = descriptors
    try:
        resources = OpenResources(guest.jail.root, ignore={*guest.hidden, *descriptors})
        target = posix.open(guest.jail.root, _DIRECTORY)
        try:
            problems = tree.synchronize(
                source,
                target,
                skip=guest.jail.mounts,
                resolve=lambda path, _: guest.jail.resolve(path, shown["mark"]),
            )
            for path, over, changes in zip(shown["written"], others[::2], others[1::2], strict=True):
                problems += write_over(Written(path, over, changes), None)
        finally:
            close_all([source, target])
        complain(guest, [*problems, *resources.renew(guest.jail.root)])
        guest.commands.forget(guest.jail.root)
    except OSError as error:
        return {"followed": False, "failed": str(error)}
    randomness.restore(shown["random"])
    return {"followed": True, "processes": max(0, shown["processes"] - left_behind.processes_of(guest))}


def pack(guest: Guest, archive: int) -> Message:
    """Writes this guest's tree to the descriptor `archive`; the answer holds what else `unpack` needs."""
    guest.flush()
    try:
        archiving.pack(guest.jail.root, guest.jail.mounts, archive)
    except OSError as error:
        return {"failed": str(error)}
    finally:
        posix.close(archive)
    return {"mark": guest.jail.mark(), "random": randomness.state()}


def unpack(guest: Guest, packed: Message, archive: int) -> Message:
    """Like `follow`, after a guest that no longer exists: `packed` is its answer to `pack`."""
    try:
        resources = OpenResources(guest.jail.root, ignore={*guest.hidden, archive})
        archiving.unpack(
            guest.jail.root,
            guest.jail.mounts,
            archive,
            lambda path: guest.jail.resolve(path, packed["mark"]),
        )
        complain(guest, resources.renew(guest.jail.root))
        guest.commands.forget(guest.jail.root)
    except OSError as error:
        return {"failed": str(error)}
    finally:
        posix.close(archive)
    randomness.restore(packed["random"])
    return {"unpacked": True}


def write_over(written: Written, untouched_since: int | None) -> list[str]:
    """Makes a system directory equal to that of another sandbox; closes the descriptors."""
    target = posix.open(written.path, _DIRECTORY)
    try:
        return tree.synchronize(
            written.tree, target, untouched_since=untouched_since, changes=written.changes
        )
    finally:
        close_all([target, written.tree, written.changes])


def complain(guest: Guest, problems: list[str]) -> None:
    """Reports on the sandbox's stderr what it has lost."""
    for problem in problems:
        posix.write(guest.err, f"podflare: {problem}\n".encode("utf-8", "replace"))
