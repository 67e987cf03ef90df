"""The namespace backend, from outside: the warden makes the base tree, and starts the keeper in new namespaces."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable

from ...files import base
from ...order import Order
from ...system import kernel, network
from .. import environment
from ..layout import HOST_ETC, HOSTNAME, RUNTIME, Layout, pin
from .keep import Keep

_OWN_ETC = {
    "hostname": f"{HOSTNAME}\n",
    "hosts": f"127.0.0.1\tlocalhost {HOSTNAME}\n::1\tlocalhost ip6-localhost ip6-loopback\n",
    "passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    "group": "root:x:0:\nnogroup:x:65534:\n",
    "shells": "/bin/sh\n/bin/bash\n",
    **environment.ACCOUNTS,
}
_NOBODY = 65534


def build_base(order: Order) -> None:
    """Warden: the base tree, and the private part of /etc, with the rights of whoever started the emulator."""
    layout = Layout(order.python)
    tree = f"{order.state}/base"
    base.build(
        tree,
        python=layout.executable,
        version=order.python.version,
        path=layout.path,
        pip=order.python.pip,
        seeds=order.seeds,
    )
    os.makedirs(f"{tree}/etc/pam.d")
    for name, text in _OWN_ETC.items():
        _write(f"{tree}/etc/{name}", text)
    if order.network == "private":
        _write(f"{tree}/etc/resolv.conf", f"nameserver {network.NAMESERVER}\n")
    else:
        with contextlib.suppress(FileNotFoundError):  # a machine without a network may have none
            shutil.copyfile("/etc/resolv.conf", f"{tree}/etc/resolv.conf")
    for name in HOST_ETC:
        if os.path.exists(f"/etc/{name}") and not os.path.lexists(f"{tree}/etc/{name}"):
            os.symlink(f"{RUNTIME}/etc/{name}", f"{tree}/etc/{name}")
    os.symlink("/proc/mounts", f"{tree}/etc/mtab")


def start_keeper(order: Order, run: Callable[[Callable[[], Keep]], None]) -> tuple[int, int]:
    """Warden: forks the keeper as init of new namespaces, where it calls `run` with what builds the root.

    Returns its number, and a descriptor of its user namespace.

    Started as root, the sandbox's root is mapped to nobody, so that it owns nothing of the host; what only root can
    reach is pinned (bound into the state directory) before the ids change.
    """
    uid, gid = os.getuid(), os.getgid()
    inside = _inside_id(uid)
    if inside != uid:
        _hand_over(order.state, inside)
    asks, asked = os.pipe()
    mapped, maps = os.pipe()
    starter = os.fork()
    if starter == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(asks)
        os.close(maps)
        try:
            os.chdir(order.state)  # the way here may be closed to nobody
            layout = Layout(order.python)
            if uid == 0:
                kernel.unshare(kernel.CLONE_NEWNS)
                kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
                pin(layout)
                with contextlib.suppress(PermissionError):  # an ordinary user's namespace forbids it
                    os.setgroups([])
            kernel.unshare(
                kernel.CLONE_NEWUSER
                | kernel.CLONE_NEWNS
                | kernel.CLONE_NEWPID
                | kernel.CLONE_NEWUTS
                | kernel.CLONE_NEWIPC
            )
            os.write(asked, b"1")
            if not os.read(mapped, 1):
                os._exit(1)
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            kernel.stay_dumpable()
            keeper = os.fork()
            if keeper == 0:
                os.close(asked)
                os.close(mapped)
                run(lambda: Keep(order, layout, pinned=uid == 0))
            os.write(asked, str(keeper).encode())
        except BaseException as error:
            os.write(asked, str(error).encode()[:1000])
            os._exit(1)
        os._exit(0)
    os.close(asked)
    os.close(mapped)
    try:
        answer = os.read(asks, 1000)
        if answer == b"1":
            user_namespace = os.open(f"/proc/{starter}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
            _map_ids(starter, inside, uid, gid)
            os.write(maps, b"1")
            answer = os.read(asks, 1000)
        if not answer.isdigit():
            raise OSError(answer.decode())
    finally:
        os.close(asks)
        os.close(maps)
        os.waitpid(starter, 0)  # its child, the keeper, is the warden's own from here on
    return int(answer), user_namespace


def _inside_id(uid: int) -> int:
    """Which of the host's ids the sandbox's root is."""
    if uid != 0:
        return uid
    with open("/proc/self/uid_map", encoding="ascii") as file:
        for line in file:
            first, _, count = map(int, line.split())
            if first <= _NOBODY < first + count:
                return _NOBODY
    return uid  # root of a user namespace that has no nobody owns nothing of the host itself


def _hand_over(tree: str, owner: int) -> None:
    os.chown(tree, owner, owner)
    for directory, subdirectories, files in os.walk(tree):
        for name in (*subdirectories, *files):
            os.chown(f"{directory}/{name}", owner, owner, follow_symlinks=False)


def _map_ids(pid: int, inside: int, uid: int, gid: int) -> None:
    if uid != 0:
        _write(f"/proc/{pid}/setgroups", "deny")
    _write(f"/proc/{pid}/uid_map", f"0 {inside} 1")
    _write(f"/proc/{pid}/gid_map", f"0 {inside if inside != uid else gid} 1")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
