"""The namespace backend, from outside: the warden makes the base tree, and starts the keeper in new namespaces."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from collections.abc import Callable

from ...files import base, removal
from ...order import Order
from ...system import kernel, network
from .. import accounts, environment
from ..layout import HOST_ETC, HOSTNAME, RUNTIME, Layout, pin
from . import ids, system
from .ids import Ids
from .keep import Keep

_OWN_ETC = {
    "hostname": f"{HOSTNAME}\n",
    "hosts": f"127.0.0.1\tlocalhost {HOSTNAME}\n::1\tlocalhost ip6-localhost ip6-loopback\n",
    "shells": "/bin/sh\n/bin/bash\n",
    **environment.ACCOUNTS,
}
_OF_A_MACHINE = ("hostname", "hosts")
# Otherwise apt insists on switching to another user, which is not possible here.
_APT_AS_ROOT = 'APT::Sandbox::User "root";\n'
_WITH_PASSWORD = re.compile(rb"://[^/\s]*@")


def build_base(order: Order) -> None:
    """Warden: builds the base tree and the private part of /etc, with the rights of the emulator's user."""
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
    own = {**_OWN_ETC, "passwd": accounts.passwd(), "group": accounts.group()}
    for name, text in own.items():
        if (
            order.python.root
            and os.path.lexists(f"{order.python.root}/etc/{name}")
            and name not in _OF_A_MACHINE
        ):
            continue
        base.write(f"{tree}/etc/{name}", text)
    if order.network == "private":
        base.write(f"{tree}/etc/resolv.conf", f"nameserver {network.NAMESERVER}\n")
    else:
        with contextlib.suppress(FileNotFoundError):  # a machine without a network may have none
            shutil.copyfile("/etc/resolv.conf", f"{tree}/etc/resolv.conf")
    for name in () if order.python.root else HOST_ETC:
        if os.path.exists(f"/etc/{name}") and not os.path.lexists(f"{tree}/etc/{name}"):
            os.symlink(f"{RUNTIME}/etc/{name}", f"{tree}/etc/{name}")
    os.symlink("/proc/mounts", f"{tree}/etc/mtab")
    if not order.python.root:
        _copy_package_sources("/etc/apt", f"{tree}/etc/apt")
    inside = ids.choose(lent=True)
    if inside.count < ids.COUNT and inside.lent is None:
        os.makedirs(f"{tree}/etc/apt/apt.conf.d", exist_ok=True)
        base.write(f"{tree}/etc/apt/apt.conf.d/90podflare", _APT_AS_ROOT)


def _copy_package_sources(source: str, target: str) -> None:
    """Copies apt's configuration, except files that may hold a password."""
    for directory, subdirectories, files in os.walk(source):
        subdirectories[:] = [name for name in subdirectories if not name.startswith("auth.conf")]
        place = target + directory[len(source) :]
        os.makedirs(place)
        for name in files:
            with contextlib.suppress(OSError), open(f"{directory}/{name}", "rb") as file:
                data = file.read()
                everybodys = os.fstat(file.fileno()).st_mode & 0o004
                if everybodys and not name.startswith("auth.conf") and not _WITH_PASSWORD.search(data):
                    with open(f"{place}/{name}", "wb") as copy:
                        copy.write(data)


def start_keeper(order: Order, run: Callable[[Callable[[], Keep]], None]) -> tuple[int, int]:
    """Warden: forks the keeper as init of new namespaces, where it calls `run` with a function that builds the root.

    Returns its number, and a descriptor of its user namespace.

    If root has started the emulator, the sandboxes' root is another user, who owns nothing on the host. What only root
    can reach is bound into the state directory before the ids change.
    """
    is_root = os.getuid() == 0
    inside = ids.choose(lent=True)
    if inside.user != os.getuid():
        _hand_over(order.state, inside)
    asks, asked = os.pipe()
    mapped, maps = os.pipe()
    starter = os.fork()
    if starter == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(asks)
        os.close(maps)
        try:
            os.chdir(order.state)  # while we can: the user `nobody` may not be allowed to reach it
            layout = Layout(order.python)
            parts: list[system.Part] | None = None
            if is_root:
                kernel.unshare(kernel.CLONE_NEWNS)
                kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
                pin(layout)
                parts = _gather(inside, order.python.root)
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
                run(lambda: Keep(order, layout, parts))
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
            inside.map(starter)
            os.write(maps, b"1")
            answer = os.read(asks, 1000)
        if not answer.isdigit():
            raise OSError(answer.decode())
    finally:
        os.close(asks)
        os.close(maps)
        os.waitpid(starter, 0)  # from here on its child, the keeper, is a child of the warden
    return int(answer), user_namespace


def _gather(inside: Ids, root: str) -> list[system.Part]:
    """Gathers the system's parts, with their owners mapped if there are ids for all of them."""
    if inside.count < ids.COUNT:
        return system.gather(root)
    with ids.namespace_of(inside) as namespace:
        return system.gather(root, namespace)


def remove(parent: int, name: str) -> None:
    """Like `removal.remove`, but also removes files of a sandbox's users that have subordinate ids."""
    try:
        removal.remove(parent, name)
    except PermissionError:
        inside = ids.choose(lent=True)
        if inside.lent is None:
            raise
        ids.run_as_root_of(inside, lambda: removal.remove(parent, name))


def _hand_over(tree: str, owner: Ids) -> None:
    os.chown(tree, owner.user, owner.group)
    for directory, subdirectories, files in os.walk(tree):
        for name in (*subdirectories, *files):
            os.chown(f"{directory}/{name}", owner.user, owner.group, follow_symlinks=False)
