"""Mounts by descriptor (Linux 5.2): one process makes them, another attaches them. Each call raises OSError.

The calls go to `posix`: guests run this, and user code there may have replaced functions of `os`.
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

# The same numbers on every architecture: calls this new share one table.
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 428, 429, 430, 431, 432
_OPEN_TREE_CLONE, _AT_RECURSIVE = 1, 0x8000
_MOVE_EMPTY_PATH = 0x4  # MOVE_MOUNT_F_EMPTY_PATH
_CLOEXEC = 1  # FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6
_AT_FDCWD = -100
# From a line of /proc/self/mountinfo: the mount's number, its parent's number, and the mount point.
_LINE = re.compile(rb"^(\d+) (\d+) \S+ \S+ (\S+) ", re.MULTILINE)
_ESCAPED = re.compile(rb"\\([0-7]{3})")

OVERLAY_OPTIONS = {"userxattr": None, "xino": "on", "index": "off"}
"""Options that an ordinary user may set. Without an index, overlays can share layers."""


def overlay(lower: Sequence[str], upper: str, work: str, place: str) -> int:
    """A descriptor of a new overlay, mounted nowhere. `lower`: top layer first; `place`: a temporary mount point."""
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
    """A descriptor of a copy of the mount at `path`, and of all mounts below it."""
    flags = _OPEN_TREE_CLONE | posix.O_CLOEXEC | _AT_RECURSIVE
    return _call(f"open_tree {path}", _OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags)


def put(mount: int, directory: int, name: str) -> None:
    """Attaches a mount, given by descriptor, over the entry `name` of a directory."""
    arguments = mount, b"", directory, os.fsencode(name), _MOVE_EMPTY_PATH
    _call(f"move_mount to {name}", _MOVE_MOUNT, *arguments)


def make_root(overlay: int, shown: Mapping[str, str], ready: Callable[[str], None]) -> int:
    """Makes `overlay` the root of this namespace, and moves all that is mounted on the old root to it.

    `shown`: places below those mounts, and the directory of the new root that each is to show. `ready` is called last,
    with the path below which everything can be reached. If anything raises OSError, `ready` included, nothing has
    changed.

    Returns a descriptor of the old root. Closing the last one frees what the kernel has cached of its files, which
    takes about 2 µs for each.
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
    """The mount points on the root's file system, in this process's namespace."""
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
