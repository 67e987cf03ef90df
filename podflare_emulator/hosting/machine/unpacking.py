"""A root filesystem in a tar file: unpacked for one emulator, and removed when it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from podflare_emulator.hosting.errors import HostingError

if TYPE_CHECKING:
    import tarfile

_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_OF_LAYERS = ("manifest.json", "oci-layout")  # at the top of what `docker save` writes, and of an OCI layout

# However the emulator ends, that closes its end of the pipe. Only root can empty a directory of mode 555 as it is.
_REMOVE = """
import os, shutil, sys
sys.stdin.read()
for directory, names, _ in os.walk(sys.argv[1]):  # visits a directory after its parent
    for name in names:
        if not os.path.islink(f"{directory}/{name}"):
            os.chmod(f"{directory}/{name}", 0o700)
shutil.rmtree(sys.argv[1])
"""


@contextlib.contextmanager
def system(rootfs: str | None, prefix: str) -> Iterator[str]:
    """The directory of the tree: `rootfs` itself, or what it unpacks to if it is a tar file; "" for None.

    `prefix`: of the directories in the temp directory that emulators remove unless a process holds their lock.
    Raises HostingError.
    """
    if rootfs is None or os.path.isdir(rootfs):
        yield rootfs or ""
        return
    place = os.path.realpath(tempfile.mkdtemp(prefix=prefix))
    lock = os.open(f"{place}/.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.rename(f"{place}/.lock", f"{place}/lock")
    remover = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _REMOVE, place],
        stdin=subprocess.PIPE,
        pass_fds=[lock],
        start_new_session=True,
        cwd="/",
        env={},
    )
    os.close(lock)
    try:
        os.mkdir(f"{place}/tree")
        _unpack(rootfs, f"{place}/tree")
        yield f"{place}/tree"
    except HostingError as error:
        raise HostingError(str(error).replace(f"{place}/tree", rootfs)) from None
    finally:
        remover.communicate()


def _unpack(archive: str, target: str) -> None:
    import tarfile  # here, as every server loads this module and few need it

    try:
        with _opened(archive) as file, tarfile.open(fileobj=file, mode="r|*") as tar:
            _extract(tar, target)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise HostingError(f"rootfs: {archive} cannot be unpacked: {error}") from None


@contextlib.contextmanager
def _opened(archive: str) -> Iterator[IO[bytes]]:
    with open(archive, "rb", buffering=0) as file:  # unbuffered: another program may read the rest
        packed = file.read(4) == _ZSTANDARD
        file.seek(0)
        if not packed or sys.version_info >= (3, 14):
            yield file
            return
        try:
            process = subprocess.Popen(["zstd", "-dcq"], stdin=file, stdout=subprocess.PIPE)
        except FileNotFoundError:
            raise HostingError(f"rootfs: {archive} needs the program zstd, which is not installed") from None
        assert process.stdout is not None
        with process:
            yield process.stdout


def _extract(tar: tarfile.TarFile, target: str) -> None:
    """Extracts all but devices and pipes (a sandbox has its own), and nothing outside `target`."""
    trusted = {"filter": "fully_trusted"} if hasattr(tar, "extraction_filter") else {}
    directories: list[tuple[str, tarfile.TarInfo]] = []
    for member in tar:
        member.name = os.path.normpath(f"/{member.name}").lstrip("/")
        if member.name in _OF_LAYERS:
            raise HostingError(
                "rootfs: this is an image in layers, as docker save writes it; make one tree of them with "
                "docker export $(docker create IMAGE) > FILE"
            )
        place = _place(target, member.name)
        if member.isdir():
            if os.path.islink(place):
                continue  # one layer of an image may have a directory where another has a link
            os.makedirs(place, exist_ok=True)
            directories.append((place, member))
            continue
        if not (member.isreg() or member.issym() or member.islnk()):
            continue
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if os.path.lexists(place):
            os.unlink(place)  # else extracting would write through a link
        if member.islnk():
            os.link(_place(target, member.linkname), place, follow_symlinks=False)
        else:
            tar.extract(member, target, numeric_owner=True, **trusted)  # type: ignore[arg-type]
    # Last, as writing into them takes permission and changes their times.
    for path, member in reversed(directories):
        if os.geteuid() == 0:
            os.chown(path, member.uid, member.gid)
        os.chmod(path, member.mode)
        os.utime(path, (member.mtime, member.mtime))


def _place(target: str, name: str) -> str:
    """Where a member goes; raises HostingError if its directory is a link that leads out of `target`."""
    directory, _, last = os.path.normpath(f"/{name}").rpartition("/")
    real = os.path.realpath(target + directory)
    if not f"{real}/".startswith(f"{target}/"):
        raise HostingError(f"rootfs: {name} would be unpacked outside the tree")
    return f"{real}/{last}" if last else target
