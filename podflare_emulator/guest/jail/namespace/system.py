"""Lets a sandbox write to its view of the host's system: it has its own layer over each of the host's directories.

Nothing is ever written to the host. If the owners of the host's files have ids in the sandbox (for root, through
idmapped mounts), everything can be changed. Otherwise the kernel copies none of the host's files up to a layer. For
that case there are directories of the sandbox with the same names as the host's, between the two: in these, files can
be made, replaced and removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Sequence
from typing import NamedTuple

from ...system import kernel
from ..layout import SYSTEM
from .places import directory_of

_PLACES = (*SYSTEM, "opt", "var/lib/dpkg")
# The small files in /etc that belong to a writable system. The others stay the host's.
_OWN_ETC = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "nsswitch.conf",
    "protocols",
    "services",
    "ssl",
)
# How many slashes the path of a directory in between has at most.
_DEPTH, _DEPTH_ELSEWHERE = 2, 4
_PROGRAMS = (*SYSTEM, "opt")  # _DEPTH is for directories below these
_DEEPER = ("usr/local/", "usr/lib/", "usr/share/man/")  # one more level here
# Files here are copied, and so are locks in /var.
_CHANGED_IN_PLACE = ("etc", "var/lib/dpkg", "var/lib/dpkg/triggers", "var/log", "var/cache/debconf")
_HIDES_WHAT_IS_BELOW = "user.overlay.opaque"


class Part(NamedTuple):
    """One directory of the host.

    `place`: its path below "/"; `lower`: where it is bound below the state directory; `shifted`: whether its owners
    are mapped; `inner`: the host's mounts below it, and where these are bound.
    """

    place: str
    lower: str
    shifted: bool
    inner: tuple[tuple[str, str], ...]


def gather(root: str, ids: int | None = None) -> list[Part]:
    """Binds the host's directories below the current one, while they are still visible; or `root`, a whole tree.

    `ids`: for the host's root: a descriptor of the user namespace that maps the owners.
    """
    if root:
        return [_gather_tree(root, ids)]
    parts = []
    mounted = _mount_points()
    for number, place in enumerate(_PLACES):
        source, lower = f"/{place}", f"lower/{number}"
        if os.path.islink(source) or not os.path.isdir(source) or not os.listdir(source):
            continue
        os.makedirs(lower)
        shifted = ids is not None and _bind_shifted(source, lower, ids)
        inner: list[tuple[str, str]] = []
        if shifted:
            for point in mounted:
                if point.startswith(f"{source}/"):
                    inner.append((point, f"{lower}-{len(inner)}"))
                    _bind(*inner[-1])
        else:
            _bind(source, lower)
        parts.append(Part(place, lower, shifted, tuple(inner)))
    return parts


def _gather_tree(root: str, ids: int | None) -> Part:
    lower = "lower/root"
    os.makedirs(lower)
    shifted = ids is not None and _bind_shifted(root, lower, ids)
    if not shifted:
        _bind(root, lower)
    return Part("", lower, shifted, ())


def _bind_shifted(source: str, target: str, ids: int) -> bool:
    try:
        kernel.attach(kernel.shifted(source, ids), target)
    except OSError:  # the kernel is too old, or the file system cannot do it
        return False
    return True


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
    kernel.bind(source, target)
    kernel.make_read_only(target)


def _mount_points() -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return sorted({line.split()[4].replace("\\040", " ") for line in file})


class System:
    """The parts that can have layers over them. `scratch`: a directory in which overlays may have layers."""

    def __init__(self, parts: Sequence[Part], state: str, scratch: str) -> None:
        self._state = state
        self._parts: list[tuple[Part, str]] = []
        for number, part in enumerate(parts):
            lower = f"{state}/{part.lower}"
            if not part.shifted:
                own = f"{scratch}/own-{number}"
                os.mkdir(own)
                lay_between(part.place, lower, own)
                lower = f"{own}:{lower}"
            planted = f"{state}/base/{part.place}"
            if os.path.isdir(planted) and os.listdir(planted):
                lower = f"{planted}:{lower}"
            probe = f"{scratch}/probe-{number}"
            os.mkdir(probe)
            try:
                _stack(lower, probe, probe)
            except OSError:  # it has mounts below it, for example: only the host's root may look under these
                continue
            kernel.unmount(probe)
            self._parts.append((part, lower))

    @property
    def places(self) -> list[str]:
        return [part.place for part, _ in self._parts]

    def show(self, directory: str, root: str) -> None:
        """Mounts the parts below `root`, with their layers in `directory`, which it creates."""
        os.mkdir(directory)
        for part, lower in self._parts:
            layers = f"{directory}/{directory_of(part.place)}"
            os.mkdir(layers)
            _stack(lower, layers, f"{root}/{part.place}")
            for point, source in part.inner:
                kernel.bind(f"{self._state}/{source}", root + point)

    @staticmethod
    def remove_unchanged(directory: str) -> bool:
        """Removes the layers in `directory`; False if something was written to them, or they are in use."""
        try:
            for layers in os.listdir(directory):
                for layer in ("upper", "work/work", "work", ""):
                    os.rmdir(f"{directory}/{layers}/{layer}")
            os.rmdir(directory)
        except OSError:
            return not os.path.isdir(directory)
        return True


def own_etc(source: str, base: str, target: str) -> None:
    """Copies to `target` what is only a link to `source` in `base`, as far as the sandboxes' root may read it."""
    for name in _OWN_ETC:
        original, own = f"{source}/{name}", f"{target}/{name}"
        if os.path.islink(f"{base}/{name}") and os.path.exists(original):
            if os.path.isdir(original):
                _copy_directory(original, own)
            else:
                shutil.copy(original, own)


def _copy_directory(source: str, target: str) -> None:
    """Copies a directory of links, nearly all of them. Unlike `tree.copy`, the copies belong to the sandboxes' root."""
    with contextlib.suppress(PermissionError), os.scandir(source) as listing:
        os.mkdir(target)
        for entry in listing:
            own = f"{target}/{entry.name}"
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), own)
            elif entry.is_dir():
                _copy_directory(entry.path, own)
            elif os.access(entry.path, os.R_OK):
                shutil.copy2(entry.path, own)


def _stack(lower: str, directory: str, place: str) -> None:
    for layer in ("upper", "work"):
        os.mkdir(f"{directory}/{layer}")
    options = f"lowerdir={lower},upperdir={directory}/upper,workdir={directory}/work,userxattr,xino=on"
    kernel.mount("overlay", place, "overlay", 0, options)


def lay_between(place: str, lower: str, own: str) -> None:
    """Makes the directories that the host has there, and copies of the files that are changed in place.

    A directory that may not be listed is empty in the sandbox.
    """
    levels = [(place, lower, own)]
    for level, source, target in levels:  # the list grows meanwhile
        try:
            with os.scandir(source) as listing:
                entries = [*listing]
        except PermissionError:
            with contextlib.suppress(OSError):  # a file system without attributes; it has no overlays either
                os.setxattr(target, _HIDES_WHAT_IS_BELOW, b"y")
            continue
        for entry in entries:
            path, copy = f"{level}/{entry.name}".lstrip("/"), f"{target}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if _is_laid(path):
                    os.mkdir(copy)
                    os.chmod(copy, stat.S_IMODE(entry.stat().st_mode) | 0o700)
                    levels.append((path, entry.path, copy))
            elif _is_changed_in_place(level, entry.name) and entry.is_file(follow_symlinks=False):
                _copy(entry, copy)


def _is_laid(path: str) -> bool:
    """Whether this directory of the host's gets one in between."""
    if path.partition("/")[0] in _PROGRAMS:
        return path.count("/") <= _DEPTH + path.startswith(_DEEPER)
    return path.count("/") <= _DEPTH_ELSEWHERE


def _is_changed_in_place(directory: str, name: str) -> bool:
    if directory in _CHANGED_IN_PLACE or directory.startswith("etc/"):
        return True
    return directory.startswith("var/") and name.startswith("lock")


def _copy(file: os.DirEntry[str], target: str) -> None:
    """Copies a file; makes an empty one if it may not be read."""
    try:
        shutil.copy2(file.path, target)
    except PermissionError:
        with open(target, "wb"):
            os.chmod(target, stat.S_IMODE(file.stat().st_mode))
