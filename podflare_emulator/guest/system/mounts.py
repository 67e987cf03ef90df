"""Mounts by descriptor (Linux 5.2): made by one process, put in their place by another. Each call raises OSError.

The calls go to `posix`, since guests come here, in which user code may have replaced those of `os`.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import posix
import re
from collections.abc import Callable, Mapping, Sequence

from . import kernel

# The same numbers on every architecture: they are newer than the unified table.
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 428, 429, 430, 431, 432
_OPEN_TREE_CLONE, _AT_RECURSIVE = 1, 0x8000
_MOVE_EMPTY_PATH = 0x4  # MOVE_MOUNT_F_EMPTY_PATH
_CLOEXEC = 1  # FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6
_AT_FDCWD = -100
# Of a line of /proc/self/mountinfo: its number, that of the mount it is on, and where.
_LINE = re.compile(rb"^(\d+) (\d+) \S+ \S+ (\S+) ", re.MULTILINE)
_ESCAPED = re.compile(rb"\\([0-7]{3})")

OVERLAY_OPTIONS = {"userxattr": None, "xino": "on", "index": "off"}
"""As an ordinary user may have them; without an index, what lies in layers can be shared."""


def overlay(lower: Sequence[str], upper: str, work: str, place: str) -> int:
    """A descriptor of a new overlay, mounted nowhere. `lower`: the top one first; `place`: used in passing."""
    try:
        return _configured(lower, upper, work)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL):
            raise
    kernel.mount("overlay", place, "overlay", 0, overlay_options(lower, upper, work))  # before Linux 6.7
    try:
        return tree(place)
    finally:
        kernel.unmount(place)


def overlay_options(lower: Sequence[str], upper: str, work: str) -> str:
    """For `kernel.mount`."""
    others = ",".join(name if value is None else f"{name}={value}" for name, value in OVERLAY_OPTIONS.items())
    return f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work},{others}"


def _configured(lower: Sequence[str], upper: str, work: str) -> int:
    context = _call("fsopen", _FSOPEN, b"overlay", _CLOEXEC)
    try:
        for key, value in (
            *(("lowerdir+", layer) for layer in lower),
            ("upperdir", upper),
            ("workdir", work),
            *OVERLAY_OPTIONS.items(),
        ):
            kind = _SET_FLAG if value is None else _SET_STRING
            _call(
                f"fsconfig {key}",
                _FSCONFIG,
                context,
                kind,
                key.encode(),
                value.encode() if value else None,
                0,
            )
        _call("fsconfig", _FSCONFIG, context, _CREATE, None, None, 0)
        return _call("fsmount", _FSMOUNT, context, _CLOEXEC, 0)
    finally:
        posix.close(context)


def tree(path: str) -> int:
    """A descriptor of a copy of what is mounted at `path`, and of all that is mounted below it."""
    flags = _OPEN_TREE_CLONE | posix.O_CLOEXEC | _AT_RECURSIVE
    return _call(f"open_tree {path}", _OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags)


def put(mount: int, directory: int, name: str) -> None:
    """Mounts what a descriptor is of over the entry `name` of a directory."""
    arguments = mount, b"", directory, os.fsencode(name), _MOVE_EMPTY_PATH
    _call(f"move_mount to {name}", _MOVE_MOUNT, *arguments)


def make_root(overlay: int, shown: Mapping[str, str], ready: Callable[[str], None]) -> int:
    """Puts it in the place of this namespace's root, with all that is mounted on that.

    `shown`: places below those mounts, and the directory of the new root's own that each shows. `ready` is called last,
    with the path below which everything can be reached. Raises OSError, that of `ready` too, having changed nothing.

    Returns a descriptor of the root that was. Who closes that last frees what the kernel remembers of its files, some
    2 µs for each.
    """
    copies = {place: tree(place) for place in over_root()}
    here = posix.open(".", posix.O_PATH | posix.O_CLOEXEC)
    root = posix.open("/", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    prefix = f"/proc/self/fd/{overlay}"
    try:
        put(overlay, root, ".")
        try:
            for place, copy in copies.items():
                put(copy, overlay, place[1:])
            for place, directory in shown.items():
                kernel.unmount(prefix + place)
                kernel.bind(prefix + directory, prefix + place)
            ready(prefix)
            posix.fchdir(overlay)
            kernel.pivot_root_here()
        except OSError:
            posix.fchdir(here)
            kernel.unmount(prefix)
            raise
    except OSError:
        posix.close(root)
        raise
    finally:
        for number in (*copies.values(), here):
            posix.close(number)
    return root


def over_root() -> list[str]:
    """The places in which something is mounted on the root's own file system, in this process's namespace."""
    with io.FileIO("/proc/self/mountinfo") as file:
        lines = _LINE.findall(file.readall())
    root = next(number for number, _, place in reversed(lines) if place == b"/")
    places = {place for _, parent, place in lines if parent == root and place != b"/"}
    return sorted(
        os.fsdecode(_ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), place)) for place in places
    )


def _call(name: str, number: int, *arguments: bytes | int | None) -> int:
    result: int = kernel.libc.syscall(number, *arguments)
    if result < 0:
        reason = ctypes.get_errno()
        raise OSError(reason, f"{name}: {os.strerror(reason)}")
    return result
