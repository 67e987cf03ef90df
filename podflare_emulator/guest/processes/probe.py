"""Finds out what this machine allows by trying it, each ability in a separate process; for `doctor`.

An answer is "" if the machine has the ability, else the kernel's error.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from functools import partial

from ..files import removal
from ..jail import preload
from ..jail.namespace import ids
from ..order import PROGRAMS
from ..protocol import Connection
from ..system import kernel, landlock, network, root_emulation
from . import router, way_out

USER_NAMESPACE = "user namespace"
MOUNTS = "mounts inside it"
PID_NAMESPACE = "PID namespace"
FRESH_PROC = "fresh /proc"
NETWORK_NAMESPACE = "network namespace"
WAY_OUT = "private network"
OVERLAY = "overlay inside it"
PIDFD = "pidfd"
LANDLOCK = "Landlock"
USERS = "users and groups"
IDMAPPED_MOUNTS = "idmapped mounts"
ROOT_EMULATION = "root emulation"
FAKECHROOT = "fakechroot"


def main(descriptor: int) -> None:
    """Sends one message: the outcome for each ability."""
    directory = tempfile.mkdtemp(prefix="podflare-doctor-")
    try:
        answers = {name: _outcome(partial(trial, directory)) for name, trial in _TRIALS.items()}
    finally:
        parent, name = os.path.split(directory)
        place = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
        removal.remove(place, name)
        os.close(place)
    Connection(socket.socket(fileno=descriptor)).send({"answers": answers})


def _outcome(action: Callable[[], object]) -> str:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException as error:
            os.write(writer, _words(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        words = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return words


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:
        return f"{error.strerror} ({errno.errorcode[error.errno]})"
    return str(error)


def _enter_namespaces(kinds: int = 0) -> None:
    """Becomes root of a new user namespace, and of new namespaces of these kinds."""
    uid, gid = os.getuid(), os.getgid()
    kernel.unshare(kernel.CLONE_NEWUSER | kinds)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        try:
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
        except OSError as error:
            raise OSError(error.errno, f"writing /proc/self/{name}: {error.strerror}") from None


def _mount(directory: str) -> None:
    _enter_namespaces(kernel.CLONE_NEWNS)
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("podflare", directory, "tmpfs")


def _become_first_process(then: Callable[[], object]) -> None:
    _enter_namespaces(kernel.CLONE_NEWNS | kernel.CLONE_NEWPID)
    words = _outcome(then)
    if words:
        raise OSError(words)


def _be_first() -> None:
    if os.getpid() != 1:
        raise OSError(f"the first process of the namespace has number {os.getpid()}")


def _mount_proc(directory: str) -> None:
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("proc", directory, "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)


def _network() -> None:
    _enter_namespaces(kernel.CLONE_NEWNET)
    network.raise_loopback()


def _way_out() -> None:
    """Does what the router does, with a program on the PATH."""
    programs = [found for name in PROGRAMS if (found := shutil.which(name))]
    if not programs:
        raise OSError(f"neither {' nor '.join(PROGRAMS)} is installed")
    words = router.trial()
    if words:
        raise OSError(words)
    ready, readied = os.pipe()
    over, end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _enter_namespaces(kernel.CLONE_NEWNET)
            os.close(network.make_way_out())
            os.write(readied, b"1")
            os.close(end)
            os.read(over, 1)
        finally:
            os._exit(0)
    os.close(readied)
    os.close(over)
    try:
        os.read(ready, 1)
        namespaces = [os.open(f"/proc/{child}/ns/{kind}", os.O_RDONLY) for kind in ("net", "user")]
        helper = way_out.Helper(programs[0], *namespaces)
        started = helper.has_started()
        helper.end()
    finally:
        os.close(end)
        os.waitpid(child, 0)
    if not started:
        raise OSError(f"{programs[0]} ended before it was ready")


def _overlay(directory: str) -> None:
    for name in ("lower", "upper", "work", "merged"):
        os.makedirs(f"{directory}/overlay/{name}", exist_ok=True)
    _enter_namespaces(kernel.CLONE_NEWNS)
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    layers = ",".join(f"{kind}dir={directory}/overlay/{kind}" for kind in ("lower", "upper", "work"))
    kernel.mount("overlay", f"{directory}/overlay/merged", "overlay", 0, f"{layers},userxattr")


def _pidfd() -> None:
    descriptor = os.pidfd_open(os.getpid())
    signal.pidfd_send_signal(descriptor, 0)


def _landlock(directory: str) -> None:
    allowed = f"{directory}/allowed"
    os.makedirs(allowed, exist_ok=True)
    if landlock.restrict_writes([allowed]) is None:
        number = ctypes.get_errno()
        raise OSError(number, f"landlock_create_ruleset: {os.strerror(number)}")
    os.mkdir(f"{allowed}/in")
    try:
        os.mkdir(f"{directory}/refused")
    except PermissionError:
        return
    raise OSError("it did not refuse a write outside the allowed directory")


def _users() -> None:
    chosen = ids.choose(lent=True)
    if chosen.count < ids.COUNT and chosen.lent is None:
        raise OSError("a sandbox has only one user and one group")
    reader, writer = os.pipe()
    ids.run_as_root_of(chosen, lambda: os.write(writer, str(ids.present()).encode()))
    os.close(writer)
    with open(reader, encoding="ascii") as pipe:
        found = int(pipe.read() or 0)
    if found < ids.COUNT:
        raise OSError(f"only {found} of {ids.COUNT} ids can be mapped")


def _idmapped_mounts() -> None:
    with ids.namespace_of(ids.choose()) as namespace:
        os.close(kernel.shifted("/usr", namespace))


def _root_emulation() -> None:
    kernel.give_up_new_privileges()
    root_emulation.begin()


def _fakechroot(directory: str) -> None:
    library = preload.library()
    with open(f"{directory}/mapped", "w", encoding="ascii"):
        pass
    shell = os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", "test -e /mapped"],
        {"LD_PRELOAD": library, "FAKECHROOT_BASE": directory, "FAKECHROOT_EXCLUDE_PATH": "/bin:/usr"},
    )
    if os.waitpid(shell, 0)[1]:
        raise OSError(f"{library} does not map paths here")


_TRIALS: dict[str, Callable[[str], object]] = {
    USER_NAMESPACE: lambda directory: _enter_namespaces(),
    MOUNTS: _mount,
    PID_NAMESPACE: lambda directory: _become_first_process(_be_first),
    FRESH_PROC: lambda directory: _become_first_process(lambda: _mount_proc(directory)),
    NETWORK_NAMESPACE: lambda directory: _network(),
    WAY_OUT: lambda directory: _way_out(),
    OVERLAY: _overlay,
    PIDFD: lambda directory: _pidfd(),
    LANDLOCK: _landlock,
    USERS: lambda directory: _users(),
    IDMAPPED_MOUNTS: lambda directory: _idmapped_mounts(),
    ROOT_EMULATION: lambda directory: _root_emulation(),
    FAKECHROOT: _fakechroot,
}
if sys.platform != "linux":
    _TRIALS = {}
