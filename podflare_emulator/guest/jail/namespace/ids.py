"""The users and groups of the sandboxes: which of the host's ids they are."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from ...system import kernel

COUNT = 1 << 16
_FIRST = 0x70000000  # above what distributions and systemd give to people, services and containers
_NOBODY = 65534


@dataclass(frozen=True)
class Ids:
    """The host's ids that 0 and those after it are inside: `count` users from `user` on, and groups from `group`."""

    user: int
    group: int
    count: int = 1

    def map(self, pid: int) -> None:
        """For the user namespace of a process, by somebody who may: for one id, anybody."""
        if os.getuid() != 0:
            write(f"/proc/{pid}/setgroups", "deny")
        write(f"/proc/{pid}/uid_map", f"0 {self.user} {self.count}")
        write(f"/proc/{pid}/gid_map", f"0 {self.group} {self.count}")


def choose() -> Ids:
    """For sandboxes of whoever this is: ids that own nothing of the host's, where there are any.

    An ordinary user has but one. The host's root takes a range of its own, so that every user and group from 0 to 65535
    exists inside; the root of a user namespace that has no such range is nobody there, or itself.
    """
    user, group = os.getuid(), os.getgid()
    if user != 0:
        return Ids(user, group)
    if _has(_FIRST, COUNT):
        return Ids(_FIRST, _FIRST, COUNT)
    if _has(_NOBODY, 1):
        return Ids(_NOBODY, _NOBODY)
    return Ids(user, group)  # it owns nothing of the host itself


def _has(first: int, count: int) -> bool:
    """Whether these ids exist in this process's user namespace."""
    return all(_is_in(f"/proc/self/{kind}_map", first, count) for kind in ("uid", "gid"))


def _is_in(path: str, first: int, count: int) -> bool:
    with open(path, encoding="ascii") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    return any(start <= first and first + count <= start + length for start, _, length in ranges)


@contextlib.contextmanager
def namespace_of(ids: Ids) -> Iterator[int]:
    """A descriptor of a user namespace with these ids, for mounts to be shifted by. For the host's root."""
    ready, begun = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            kernel.unshare(kernel.CLONE_NEWUSER)
            os.write(begun, b"1")
            signal.pause()
        finally:
            os._exit(1)
    os.close(begun)
    try:
        if not os.read(ready, 1):
            raise OSError("no user namespace can be made")
        ids.map(child)
        namespace = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    try:
        yield namespace
    finally:
        os.close(namespace)


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
