"""Packs a sandbox's tree into one file, for the time in which there is no sandbox, and unpacks it again.

The calls go to `posix`: user code or a backend may have replaced functions of `os`.
"""

from __future__ import annotations

import contextlib
import io
import posix
import stat
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from ..system import imports
from .contents import attempt_chown

if TYPE_CHECKING:
    import tarfile

_CHUNK = 1 << 20


@imports.own()
def pack(root: str, mounts: Collection[str], archive: int) -> None:
    """Writes the files, directories and symbolic links below `root`, except `mounts`; raises OSError.

    Files that may not be read are left out, and so are sockets, pipes and devices.
    """
    import tarfile  # few sandboxes need it, and every fork has to copy what is loaded here

    with tarfile.open(
        fileobj=io.FileIO(archive, "w", closefd=False), mode="w|", format=tarfile.PAX_FORMAT
    ) as tar:
        for path, status in _entries(root, mounts):
            entry = tarfile.TarInfo(path)
            entry.mode, entry.uid, entry.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
            entry.mtime = status.st_mtime_ns / 1e9
            with contextlib.suppress(PermissionError):
                _add(tar, entry, f"{root}/{path}", status)


@imports.own()
def unpack(root: str, mounts: Collection[str], archive: int, resolve: Callable[[str], str]) -> None:
    """Makes the tree below `root` equal to the packed one, except `mounts`; raises OSError.

    `resolve`: maps the target of a packed symbolic link to its target in this tree.
    """
    import tarfile

    directories = []
    packed = set()
    with tarfile.open(fileobj=io.FileIO(archive, "r", closefd=False), mode="r|") as tar:
        for entry in tar:
            packed.add(entry.name)
            path = f"{root}/{entry.name}"
            if entry.isdir():
                directories.append(entry)
                _clear(path, directory=True)
                with contextlib.suppress(FileExistsError):
                    posix.mkdir(path, 0o700)
                continue
            _clear(path, directory=False)
            if entry.issym():
                posix.symlink(resolve(entry.linkname), path)
            else:
                _write(tar, entry, path)
    for path, status in [*_entries(root, mounts)][::-1]:
        if path not in packed:
            remove = posix.rmdir if stat.S_ISDIR(status.st_mode) else posix.unlink
            with contextlib.suppress(OSError):  # a directory with a mount in it
                remove(f"{root}/{path}")
    for entry in reversed(directories):
        _finish(entry, f"{root}/{entry.name}")


def _entries(root: str, mounts: Collection[str]) -> Iterator[tuple[str, posix.stat_result]]:
    """All entries, each after the directory that contains it."""
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        try:
            names = posix.listdir(f"{root}/{directory}")
        except OSError:
            continue
        for name in names:
            path = f"{directory}/{name}" if directory else name
            if path in mounts:
                continue
            with contextlib.suppress(FileNotFoundError):
                status = posix.lstat(f"{root}/{path}")
                yield path, status
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(path)


def _add(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: str, status: posix.stat_result) -> None:
    import tarfile

    if stat.S_ISDIR(status.st_mode):
        entry.type = tarfile.DIRTYPE
        tar.addfile(entry)
    elif stat.S_ISLNK(status.st_mode):
        entry.type, entry.linkname = tarfile.SYMTYPE, posix.readlink(path)
        tar.addfile(entry)
    elif stat.S_ISREG(status.st_mode):
        with io.FileIO(posix.open(path, posix.O_RDONLY), "r") as file:
            entry.size = posix.fstat(file.fileno()).st_size
            tar.addfile(entry, file)


def _write(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: str) -> None:
    source = tar.extractfile(entry)
    target = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL, 0o600)
    try:
        while source and (data := source.read(_CHUNK)):
            while data:
                data = data[posix.write(target, data) :]
    finally:
        posix.close(target)
    _finish(entry, path)


def _finish(entry: tarfile.TarInfo, path: str) -> None:
    with contextlib.suppress(OSError):
        attempt_chown(path, (entry.uid, entry.gid))
    posix.chmod(path, entry.mode)
    posix.utime(path, (entry.mtime, entry.mtime))


def _clear(path: str, *, directory: bool) -> None:
    """Removes what is in the way of an entry. A directory stays if the entry is a directory."""
    try:
        is_directory = stat.S_ISDIR(posix.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_directory:
        posix.unlink(path)
    elif not directory:
        _remove(path)


def _remove(path: str) -> None:
    for inner, status in [*_entries(path, ())][::-1]:
        (posix.rmdir if stat.S_ISDIR(status.st_mode) else posix.unlink)(f"{path}/{inner}")
    posix.rmdir(path)
