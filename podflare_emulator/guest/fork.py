"""Live fork: the guest forks itself, and each child moves into a jail of its own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from . import tree
from .handles import record
from .protocol import Message
from .sibling import fork_sibling, threads_left_behind

if TYPE_CHECKING:
    from .guest import Guest
    from .handles import Record


def fork(guest: Guest, tickets: list[Message], descriptors: list[int]) -> Message | None:
    """Makes one child a ticket. Returns the parent's answer; a child gets None, and is a guest of its own by then.

    The parent pauses until every child has its own copy of the tree. `descriptors` holds, for each child, its control
    socket, its two pipes and, where the backend has one, the entrance of its jail.
    """
    guest.flush()
    left_behind = threads_left_behind()
    random = sys.modules.get("random")
    state = random.getstate() if random else None
    try:
        cwd = os.getcwd()
    except FileNotFoundError:
        cwd = None
    source = os.open(guest.jail.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finished, finish = os.pipe()
    handles = record(guest.jail.root, ignore={*guest.hidden, *descriptors, source, finished, finish, 0, 1, 2})
    width = len(descriptors) // len(tickets)
    failure = ""
    for number, ticket in enumerate(tickets):
        try:
            child = fork_sibling()
        except OSError as error:
            failure = str(error)
            break
        if child == 0:
            mine = descriptors[number * width : (number + 1) * width]
            for other in {*descriptors, finished} - set(mine):
                os.close(other)
            if random:
                random.setstate(state)  # CPython seeds it anew in a forked child; a snapshot does not
            _become(guest, ticket, mine, source, handles, cwd)
            os.close(finish)
            return None
    for number in (*descriptors, finish):
        os.close(number)
    os.read(finished, 1)  # ends when the last child has closed its copy, or has died
    os.close(finished)
    os.close(source)
    return {"forked": len(tickets), "threads": left_behind, "failure": failure}


def _become(
    guest: Guest, ticket: Message, descriptors: list[int], source: int, handles: Record, cwd: str | None
) -> None:
    """In a child: a guest with its own pipes, its own tree and its own handles."""
    control, out, err, *entrance = descriptors
    for mine, number in zip((control, out, err), guest.hidden, strict=True):
        os.dup2(mine, number, inheritable=False)
        os.close(mine)
    try:
        os.setsid()
        guest.take_descriptors()
        guest.pid = os.getpid()
        guest.repl.forget_interrupts()
        guest.jail.move(ticket["tree"], entrance[0] if entrance else -1)
        target = os.open(guest.jail.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        tree.synchronize(
            source,
            target,
            skip=guest.jail.mounts,
            untouched_since=guest.baseline,
            resolve=guest.jail.resolve,
        )
        guest.baseline = ticket["baseline"]
        for problem in handles.reopen(resolve=guest.jail.resolve):
            os.write(2, f"podflare: {problem}\n".encode())
        os.chdir(guest.jail.resolve(cwd) if cwd else guest.jail.prefix + "/root")
        os.close(target)
        os.close(source)
        guest.announce()
    except Exception as error:
        guest.connection.send({"failed": f"{type(error).__name__}: {error}"})
        os._exit(1)
