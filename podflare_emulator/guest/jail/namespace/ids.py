"""Maps the users and groups of sandboxes to ids of the host."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
from collections.abc import Callable, Iterator

from ...system import kernel

COUNT = 1 << 16
_FIRST = 0x70000000  # above the ids that distributions and systemd give to people, services and containers
_NOBODY = 65534
_PATH = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}


class Ids:
    """The host's ids that the ids inside map to: `count` users from `user` on, and as many groups from `group` on.

    `lent`: the first user and the first group of the subordinate ids that the system gives to an ordinary user. These
    follow the user's one id.
    """

    def __init__(self, user: int, group: int, count: int = 1, lent: tuple[int, int] | None = None) -> None:
        self.user = user
        self.group = group
        self.count = count
        self.lent = lent

    def map(self, pid: int) -> None:
        """Writes the id maps of a process's user namespace. Takes the right to do so, which anybody has for one id."""
        if not self._map_lent(pid, "newuidmap", 0):
            _write(f"/proc/{pid}/uid_map", f"0 {self.user} {self.count}")
        if not self._map_lent(pid, "newgidmap", 1):
            if os.getuid() != 0:
                _write(f"/proc/{pid}/setgroups", "deny")
            _write(f"/proc/{pid}/gid_map", f"0 {self.group} {self.count}")

    def _map_lent(self, pid: int, program: str, kind: int) -> bool:
        if self.lent is None:
            return False
        import subprocess  # not at the top: it takes a warden that lends no ids 1 ms

        numbers = (pid, 0, (self.user, self.group)[kind], 1, 1, self.lent[kind], COUNT - 1)
        done = subprocess.run([program, *map(str, numbers)], check=False, capture_output=True, env=_PATH)
        return done.returncode == 0


def choose(*, lent: bool = False) -> Ids:
    """Ids for the sandboxes of the current user; if possible, ids that own nothing on the host.

    An ordinary user has only one id, or, with `lent`, also the subordinate ids of /etc/subuid and /etc/subgid, if
    there are programs to map them. The host's root gets a range that nobody uses, so that every user and group from 0
    to 65535 exists inside. The root of a user namespace without such a range becomes `nobody`, or stays itself.
    """
    user, group = os.getuid(), os.getgid()
    if user != 0:
        return Ids(user, group, lent=_lent(user) if lent else None)
    if _has(_FIRST, COUNT):
        return Ids(_FIRST, _FIRST, COUNT)
    if _has(_NOBODY, 1):
        return Ids(_NOBODY, _NOBODY)
    return Ids(user, group)  # this root owns nothing of the host's system


def _lent(user: int) -> tuple[int, int] | None:
    import shutil  # as in `_map_lent`

    if not all(shutil.which(program, path=_PATH["PATH"]) for program in ("newuidmap", "newgidmap")):
        return None
    names = {str(user)}
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(user).pw_name)
    users, groups = (_first_lent(path, names) for path in ("/etc/subuid", "/etc/subgid"))
    return None if users is None or groups is None else (users, groups)


def _first_lent(path: str, names: set[str]) -> int | None:
    with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
        for line in file:
            name, first, count = line.strip().split(":")
            if name in names and int(count) >= COUNT - 1:
                return int(first)
    return None


def present() -> int:
    """How many users exist in this process's user namespace."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return sum(int(line.split()[2]) for line in file)


def _has(first: int, count: int) -> bool:
    """Whether these ids exist in this process's user namespace."""
    return all(_is_in(f"/proc/self/{kind}_map", first, count) for kind in ("uid", "gid"))


def _is_in(path: str, first: int, count: int) -> bool:
    with open(path, encoding="ascii") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    return any(start <= first and first + count <= start + length for start, _, length in ranges)


@contextlib.contextmanager
def namespace_of(ids: Ids) -> Iterator[int]:
    """A descriptor of a user namespace with these ids, for idmapped mounts. For the host's root."""
    with _process_with(ids, signal.pause) as pid:
        namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        os.kill(pid, signal.SIGKILL)
    try:
        yield namespace
    finally:
        os.close(namespace)


def run_as_root_of(ids: Ids, action: Callable[[], object]) -> None:
    """Runs `action` in a child process, as root of a user namespace with these ids."""
    with _process_with(ids, action):
        pass


@contextlib.contextmanager
def _process_with(ids: Ids, action: Callable[[], object]) -> Iterator[int]:
    """Yields the number of such a process, and waits for it at the end."""
    begun, begin = os.pipe()
    mapped, go = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            kernel.unshare(kernel.CLONE_NEWUSER)
            os.write(begin, b"1")
            os.close(go)
            if os.read(mapped, 1):
                os.setresgid(0, 0, 0)
                os.setresuid(0, 0, 0)
                action()
        finally:
            os._exit(0)
    os.close(begin)
    os.close(mapped)
    try:
        if not os.read(begun, 1):
            raise OSError("the kernel refuses to make a user namespace")
        ids.map(child)
        os.write(go, b"1")
        yield child
    finally:
        os.close(begun)
        os.close(go)
        os.waitpid(child, 0)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
