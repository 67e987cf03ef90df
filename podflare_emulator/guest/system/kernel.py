"""Linux system calls that Python does not offer, through ctypes. Each raises OSError with the call's name."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2

# Effective in a sandbox, as for root in a container: files, ownership, ids, signals and low ports.
CAP_KEPT = sum(1 << number for number in (0, 1, 3, 4, 5, 6, 7, 10, 27, 31))
CAP_SYS_CHROOT, CAP_SYS_ADMIN = 1 << 18, 1 << 21
CAP_MOVE = CAP_SYS_ADMIN | CAP_SYS_CHROOT  # setns into another mount namespace needs these

_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS, _PR_SET_SUBREAPER, _PR_CAP_AMBIENT = 4, 24, 28, 36, 47
_PR_SET_NAME, _PR_SET_NO_NEW_PRIVS = 15, 38
_SECBIT_NOROOT_LOCKED = 3
_LAST_CAP = 40
_PIVOT_ROOT, _CAPSET = {"aarch64": (41, 91), "riscv64": (41, 91)}.get(os.uname().machine, (155, 126))
_OPEN_TREE, _OPEN_TREE_CLONE = 428, 1  # Linux 5.2
_MOVE_MOUNT, _MOVE_EMPTY_PATH = 429, 4
_MOUNT_SETATTR = 442  # Linux 5.12
_NS_GET_NSTYPE = ctypes.c_ulong(0xB703)
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_IDMAP = 1, 0x00100000

libc = ctypes.CDLL(None, use_errno=True)
for _name in ("fflush", "ioctl", "mount", "prctl", "setns", "syscall"):
    # Resolved once, before any guest is forked: otherwise each guest would resolve it in private memory.
    getattr(libc, _name, None)


def _checked(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    _checked(libc.unshare(ctypes.c_int(flags)), "unshare")


def is_namespace(descriptor: int) -> bool:
    kind: int = libc.ioctl(descriptor, _NS_GET_NSTYPE)
    return kind >= 0


def setns(descriptor: int, kind: int) -> None:
    """Moves to another namespace. `kind`: CLONE_NEWNS and so on, or 0 for any."""
    _checked(libc.setns(descriptor, kind), "setns")


def mount(
    source: str | None, target: str, kind: str | None = None, flags: int = 0, options: str = ""
) -> None:
    result = libc.mount(
        source and source.encode(),
        target.encode(),
        kind and kind.encode(),
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    _checked(result, f"mount {kind or source or 'flags'} on {target}")


def unmount(target: str) -> None:
    _checked(libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def bind(source: str, target: str) -> None:
    mount(source, target, None, MS_BIND | MS_REC)


def make_read_only(target: str) -> None:
    """Applies to the whole mount tree if the kernel can do that (5.12), else to its top, which keeps locked flags."""
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
    if libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, target.encode(), _AT_RECURSIVE, attributes, 32) == 0:
        return
    locked = os.statvfs(target).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount(None, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY | locked)


def detached(directory: str) -> int:
    """A descriptor of a directory as a separate read-only mount: nobody can get above it or write in it."""
    number = _checked(
        libc.syscall(_OPEN_TREE, _AT_FDCWD, directory.encode(), _OPEN_TREE_CLONE | os.O_CLOEXEC), "open_tree"
    )
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
    libc.syscall(_MOUNT_SETATTR, number, b"", _AT_EMPTY_PATH, attributes, 32)  # Linux 5.12
    return number


def shifted(directory: str, ids: int) -> int:
    """Like `detached`, with owners mapped (idmapped mount). `ids`: a descriptor of the user namespace that maps them.

    Mounts below the directory are not included. Needs the rights of the host's root, and Linux 5.12, or 5.19 if an
    overlay is to use it as a layer.
    """
    number = detached(directory)
    try:
        attributes = struct.pack("=QQQQ", _MOUNT_ATTR_IDMAP, 0, 0, ids)
        _checked(
            libc.syscall(_MOUNT_SETATTR, number, b"", _AT_EMPTY_PATH, attributes, 32), f"idmap {directory}"
        )
    except OSError:
        os.close(number)
        raise
    return number


def attach(mount: int, target: str) -> None:
    """Mounts a detached mount at `target`, and closes its descriptor."""
    try:
        _checked(
            libc.syscall(_MOVE_MOUNT, mount, b"", _AT_FDCWD, target.encode(), _MOVE_EMPTY_PATH), "move_mount"
        )
    finally:
        os.close(mount)


def pivot_root_here() -> None:
    """Makes the current directory the root of this mount namespace, and detaches the old one."""
    _checked(libc.syscall(_PIVOT_ROOT, b".", b"."), "pivot_root")
    unmount(".")  # the old root lies on top of the new one
    os.chdir("/")


def _capabilities(effective: int, permitted: int, inheritable: int) -> bytes:
    words = [
        word & 0xFFFFFFFF
        for shift in (0, 32)
        for word in (effective >> shift, permitted >> shift, inheritable >> shift)
    ]
    return struct.pack("IIIIII", *words)


_CAPABILITIES_HEADER = struct.pack("Ii", 0x20080522, 0)
_LOCKED_DOWN = _capabilities(CAP_KEPT, CAP_KEPT | CAP_MOVE, CAP_KEPT)
_ABLE_TO_MOVE = _capabilities(CAP_KEPT | CAP_MOVE, CAP_KEPT | CAP_MOVE, CAP_KEPT)


def _set_capabilities(words: bytes) -> None:
    _checked(libc.syscall(_CAPSET, _CAPABILITIES_HEADER, words), "capset")


def bound_capabilities() -> None:
    """From now on no program that this process or a descendant starts can have a capability outside CAP_KEPT."""
    for number in range(_LAST_CAP + 1):
        if not CAP_KEPT >> number & 1:
            libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # EINVAL: this kernel does not know the number
    _checked(libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NOROOT_LOCKED, 0, 0, 0), "prctl securebits")


def lock_down() -> None:
    """After `bound_capabilities`: limits this process to CAP_KEPT for good. CAP_MOVE stays permitted, not effective."""
    _set_capabilities(_LOCKED_DOWN)
    for number in range(_LAST_CAP + 1):
        if CAP_KEPT >> number & 1:
            _checked(libc.prctl(_PR_CAP_AMBIENT, 2, number, 0, 0), "prctl ambient")


@contextlib.contextmanager
def able_to_move() -> Iterator[None]:
    """After `lock_down`: makes CAP_MOVE effective inside the block."""
    _set_capabilities(_ABLE_TO_MOVE)
    try:
        yield
    finally:
        _set_capabilities(_LOCKED_DOWN)


def give_up_new_privileges() -> None:
    """For good: setuid programs started from now on have the rights of the process that starts them."""
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))), "prctl no_new_privs")


def stay_dumpable() -> None:
    """A change of ids clears this flag, and without it our own processes cannot open /proc/PID/ns."""
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def adopt_orphans() -> None:
    """This process becomes the parent of every descendant whose parent ends (Linux; elsewhere nothing happens)."""
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_SUBREAPER, 1, 0, 0, 0)


def name_process(name: str) -> None:
    """Sets /proc/PID/comm, at most 15 bytes. Forks inherit it, started programs do not."""
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def flush_c_streams() -> None:
    """Writes what C code has printed through stdio and not yet written."""
    libc.fflush(None)
