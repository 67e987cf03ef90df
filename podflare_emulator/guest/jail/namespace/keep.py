"""The keeper's half of the namespace backend: builds the root that the emulator's processes live in, and jails."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence

from ...files import base, removal, tree
from ...order import Order
from ...protocol import Message
from ...system import kernel, mounts
from .. import environment
from ..layout import GUEST_CODE, HOST_ETC, HOSTNAME, PROC_FLAGS, RUNTIME, SYSTEM, Layout, pin
from .layers import MOST, Layers
from .system import Part, System, gather, lay_between, own_etc

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_SYS = (
    "devices/system/cpu",
    "devices/system/node",
    "devices/virtual/net/lo",
    "kernel/mm/hugepages",
    "kernel/mm/transparent_hugepage",
)
_SYS_LINKS = {"class/net/lo": "../../devices/virtual/net/lo"}
_PTS_FLAGS = kernel.MS_NOSUID | kernel.MS_NOEXEC
_PROBE = "probe"  # cannot be the name of a jail


class Keep:
    """Builds the root of the emulator's own processes, and makes jails in it."""

    state = "/state"
    shared: tuple[str, ...] = ()  # nothing needs mapping
    places: Sequence[str] = ()
    """The host's system directories over which a sandbox has layers."""

    guest_code = GUEST_CODE
    python = executable = f"{base.VENV}/bin/python3"

    def __init__(self, order: Order, layout: Layout, parts: Sequence[Part] | None) -> None:
        """`parts`: what root has pinned and gathered; None if that is still to be done."""
        self.name = os.path.basename(order.state)
        self._layout = layout
        self.environment = environment.of_zygote("", layout.library)
        kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("proc", "/proc", "proc", PROC_FLAGS)
        if parts is None:
            pin(layout)
            parts = gather(order.python.root)
        self._root = f"/{parts[0].lower}" if order.python.root else ""
        self._build_root()
        socket.sethostname(HOSTNAME)
        self._namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._mounts = self._lay_out_mounts()
        self._stacks = (not order.on_disk and self._can_stack_in_memory()) or self._can_stack()
        if self._root and not self._stacks:
            raise OSError("rootfs needs overlays, which this machine does not allow in the temp directory")
        self._system = self._lay_out_system(parts if self._stacks and not self._root else ())
        self.places = self._system.places
        self.mounts = [*self._mounts, *self.places]
        self._base = self._lay_out_base(parts)
        self._layers = Layers(f"{self.state}/jails", self._base)
        self.no_layers = self._layers.missing() if self._stacks else "this kernel allows no overlays here"
        self.held: dict[str, int] = {}  # every jail's namespace: while it exists, its number is not reused
        self.jails = os.open(f"{self.state}/jails", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._baseline = tree.now()

    def _build_root(self) -> None:
        os.makedirs("root")
        kernel.mount("podflare", "root", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=1m")
        os.mkdir("root/state")
        kernel.bind(".", "root/state")
        kernel.unmount("root/state/root")
        if self._root:
            _bind_system("root", self._root[1:], (*SYSTEM, "opt"))
            os.symlink(f"/state{self._root}/etc", "root/etc")
        else:
            _bind_system("root")
            os.symlink(f"{RUNTIME}/etc", "root/etc")
        os.mkdir("root/proc")
        kernel.bind("/proc", "root/proc")
        self._build_runtime("root" + RUNTIME)
        self._build_devices("root/dev")
        self._build_sys("root/sys")
        os.symlink(f"/state/base{base.VENV}", "root" + base.VENV)
        os.chdir("root")
        kernel.pivot_root_here()

    def _build_runtime(self, runtime: str) -> None:
        os.makedirs(f"{runtime}/etc")
        for index, place in enumerate(self._layout.pins.values()):
            os.makedirs(f"root{place}")
            kernel.bind(f"pins/{index}", f"root{place}")
        for name in () if self._root else HOST_ETC:
            source = os.path.realpath(f"/etc/{name}")
            if os.path.isdir(source):
                os.mkdir(f"{runtime}/etc/{name}")
            elif os.path.isfile(source):
                _touch(f"{runtime}/etc/{name}")
            else:
                continue
            kernel.bind(source, f"{runtime}/etc/{name}")
        kernel.bind(runtime, runtime)
        kernel.make_read_only(runtime)

    def _build_devices(self, devices: str) -> None:
        os.mkdir(devices)
        for name in _DEVICES:
            _touch(f"{devices}/{name}")
            kernel.bind(f"/dev/{name}", f"{devices}/{name}")
        for name, target in _DEVICE_LINKS.items():
            os.symlink(target, f"{devices}/{name}")
        for name in ("pts", "shm"):
            os.mkdir(f"{devices}/{name}")
        kernel.bind(devices, devices)
        kernel.make_read_only(devices)

    def _build_sys(self, place: str) -> None:
        """What programs ask about a machine: its processors, its loopback, and whether malloc may use huge pages.

        glibc looks for the latter once in a process: guests have huge pages only if their zygote finds it.
        """
        os.mkdir(place)
        for path in _SYS:
            if os.path.isdir(f"/sys/{path}"):
                os.makedirs(f"{place}/{path}")
                kernel.bind(f"/sys/{path}", f"{place}/{path}")
        for name, target in _SYS_LINKS.items():
            os.makedirs(os.path.dirname(f"{place}/{name}"), exist_ok=True)
            os.symlink(target, f"{place}/{name}")
        kernel.bind(place, place)
        kernel.make_read_only(place)

    @staticmethod
    def belongs(pid: int, message: Message) -> bool:
        """The keeper's own children belong to no sandbox."""
        return False

    def prepare(self, name: str, disk_gb: int | None) -> tuple[list[int], int]:
        """Makes a jail: a mount namespace whose root is a sandbox's tree, in memory if its size (GiB) is limited.

        Returns descriptors of it and of the tree's upper layer, if it has layers, and the time (ns) before which the
        user has changed nothing in the tree.
        """
        directory = f"{self.state}/jails/{name}"
        layered = disk_gb is None and self._stacks
        if disk_gb is not None:
            os.mkdir(directory)
            baseline = tree.now()
        elif layered:
            os.mkdir(directory)
            options = self._layers.begin(name)
            baseline = self._baseline
        else:
            tree.copy(f"{self.state}/base", directory)
            baseline = tree.now()
        entrance = _layer(self._layers.upper(name)) if layered else []
        system = self._system_of(name)
        try:
            kernel.unshare(kernel.CLONE_NEWNS)
            if disk_gb is not None:
                directory, system = self._fill_disk(directory, disk_gb)
            if layered:
                kernel.mount("overlay", directory, "overlay", 0, options)
            else:
                kernel.bind(directory, directory)
            for mounted in self._mounts:
                kernel.bind(f"/{mounted}", f"{directory}/{mounted}")
            if self.places:
                self._system.show(system, directory)
                if layered:
                    entrance.append(kernel.detached(system))
            os.chdir(directory)
            kernel.mount("devpts", "dev/pts", "devpts", _PTS_FLAGS, "newinstance,ptmxmode=0666")
            kernel.bind(base.SHARED_MEMORY[1:], "dev/shm")
            kernel.pivot_root_here()
            entrance.insert(0, os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
            self.held[name] = os.dup(entrance[0])
        except OSError:
            for number in entrance:
                os.close(number)
            raise
        finally:
            kernel.setns(self._namespace, kernel.CLONE_NEWNS)
        return entrance, baseline

    def branch(self, parent: str, children: Sequence[str], *, freeze: bool) -> tuple[list[int], int]:
        """Makes new stacks of layers, as `Layers.branch` does. Also returns how many layers the children share.

        Raises OSError if that is not possible.
        """
        if not all(map(self._layers.has, (parent, *children))):
            raise OSError("the sandbox, or a child, has no layers or has ended")
        if freeze and self._layers.depth(parent) >= MOST:
            raise OSError(f"a sandbox can have {MOST} layers at most")
        opened = self._layers.branch(parent, children, freeze=freeze)
        return opened, self._layers.depth(children[0])

    def stay(self, parent: str) -> None:
        self._layers.stay(parent)

    def take_back(self, name: str, *, left: bool) -> list[str]:
        """Forgets the jail, and the layers that nobody else needs; removes what is quicker to remove than to delegate.

        The jail may have been prepared only in part. Returns the names of what is still to be removed.
        """
        if name in self.held:
            os.close(self.held.pop(name))
        layers = self._layers.let_go(name)
        system = self._system_of(name)
        names = [name, *layers]
        if not self._system.remove_unchanged(system):
            return [*names, os.path.basename(system)]
        if not layers or not all(map(self._layers.is_empty, layers)):
            return names
        for directory in names:
            removal.remove(self.jails, directory)
        return []

    def _system_of(self, name: str) -> str:
        """The directory of the layers that a jail has over the host's system."""
        return f"{self.state}/jails/{name}.system"

    def _fill_disk(self, directory: str, disk_gb: int) -> tuple[str, str]:
        """Mounts a file system of that size over the directory, for a copy of the base tree and the system's layers.

        Returns the places of both.
        """
        kernel.mount(
            "podflare", directory, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, f"mode=0755,size={disk_gb}g"
        )
        if len(self._base) > 1:
            for name in ("tree", "upper", "work"):
                os.mkdir(f"{directory}/{name}")
            options = mounts.overlay_options(self._base, f"{directory}/upper", f"{directory}/work")
            kernel.mount("overlay", f"{directory}/tree", "overlay", 0, options)
        else:
            tree.copy(f"{self.state}/base", f"{directory}/tree")
        return f"{directory}/tree", f"{directory}/system"

    def _lay_out_system(self, parts: Sequence[Part]) -> System:
        """The parts over which this kernel and this file system allow jails to have layers."""
        scratch = f"{self.state}/jails/system"
        os.mkdir(scratch)
        system = System(parts if _layer(scratch) else (), self.state, scratch)
        self._mounts = [name for name in self._mounts if name not in system.places]
        for place in system.places:
            os.makedirs(f"{self.state}/base/{place}", exist_ok=True)
        return system

    def _lay_out_base(self, parts: Sequence[Part]) -> list[str]:
        """The directories below every jail's own layer, top one first."""
        directories = [f"{self.state}/base"]
        if self.places:
            directories.insert(0, f"{self.state}/jails/system/base")
            os.makedirs(f"{directories[0]}/etc")
            own_etc(f"{RUNTIME}/etc", f"{self.state}/base/etc", f"{directories[0]}/etc")
        if self._root:
            lower = f"{self.state}{self._root}"
            if not parts[0].shifted:
                directories.append(f"{self.state}/jails/between")
                os.mkdir(directories[-1])
                lay_between("", lower, directories[-1])
            directories.append(lower)
        return directories

    def _lay_out_mounts(self) -> list[str]:
        """Makes the mount points of jails in the base tree; returns their names."""
        place = f"{self.state}/base"
        mounts = [RUNTIME[1:], "dev", "proc", "sys"]
        for name in () if self._root else SYSTEM:
            if os.path.islink(f"/{name}"):
                os.symlink(os.readlink(f"/{name}"), f"{place}/{name}")
            elif os.path.isdir(f"/{name}"):
                mounts.append(name)
        for name in mounts:
            os.mkdir(f"{place}/{name}")
        return mounts

    def _can_stack_in_memory(self) -> bool:
        """Like `_can_stack`, with layers in memory (Linux 6.6): making and removing them takes a tenth of the time."""
        jails = f"{self.state}/jails"
        kernel.mount("podflare", jails, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=50%")
        if self._can_stack():
            return True
        kernel.unmount(jails)
        return False

    def _can_stack(self) -> bool:
        """Whether this kernel and this file system let a jail be a layer over the base tree (Linux 5.11)."""
        directory = f"{self.state}/jails/{_PROBE}"
        for layer in ("", "/upper", "/work"):
            os.mkdir(directory + layer)
        options = mounts.overlay_options([f"{self.state}/base"], f"{directory}/upper", f"{directory}/work")
        try:
            kernel.mount("overlay", directory, "overlay", 0, options)
            # What a fork will do: change, remove and replace entries of the base tree.
            os.rmdir(f"{directory}/srv")
            os.mkdir(f"{directory}/srv")
            os.chmod(f"{directory}/media", 0o700)
        except OSError:
            return False
        else:
            kernel.unmount(directory)
            return True


def _bind_system(root: str, source: str = "", names: Sequence[str] = SYSTEM) -> None:
    for name in names:
        if os.path.islink(f"{source}/{name}"):
            os.symlink(os.readlink(f"{source}/{name}"), f"{root}/{name}")
        elif os.path.isdir(f"{source}/{name}"):
            os.mkdir(f"{root}/{name}")
            kernel.bind(f"{source}/{name}", f"{root}/{name}")
            kernel.make_read_only(f"{root}/{name}")


def _layer(directory: str) -> list[int]:
    """A descriptor of a layer, for guests; none if they could get above it: forks then search the whole tree."""
    try:
        return [kernel.detached(directory)]
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):  # before Linux 5.2, or a filter of system calls
            return []
        raise


def _touch(path: str) -> None:
    """Makes an empty file as a mount point."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
