"""The preload backend, inside: libfakechroot maps the paths of every C library call to a sandbox's directory.

It is loaded into every program except static ones, and reads the directory (FAKECHROOT_BASE) from the C environment at
each call. So a process moves by setting that variable. Its variables are not in `os.environ`, where user code would see
and clear them.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ..files import base
from . import accounts, environment, plain
from .layout import HOST_ETC, SYSTEM

if TYPE_CHECKING:
    from ..order import Order

_BASE = "FAKECHROOT_BASE"
_LIBRARIES = ("/usr/lib/*/fakechroot/libfakechroot.so", "/usr/lib*/fakechroot/libfakechroot.so")
_MOST_EXCLUDED = 100  # libfakechroot ignores any further ones

_KERNEL = ("proc", "sys")
_DEVICES = (
    "null",
    "zero",
    "full",
    "random",
    "urandom",
    "tty",
    "ptmx",
    "pts",
    "fd",
    "stdin",
    "stdout",
    "stderr",
)

# A line of a .pth file in site-packages, for every Python that starts in a sandbox.
_HIDE = (
    "import os; [os.environ._data.pop(name) for name in [*os.environ._data]"
    " if name == b'LD_PRELOAD' or name.startswith(b'FAKECHROOT')]\n"
)


def library() -> str:
    """Where libfakechroot is installed; raises OSError that says how to get it."""
    try:
        glibc = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        glibc = None
    if not glibc:
        raise OSError(
            "fakechroot needs the GNU C library, and this system has another (musl is not supported)"
        )
    found = [path for pattern in _LIBRARIES for path in sorted(glob.glob(pattern))]
    if not found:
        raise OSError("libfakechroot is not installed (Debian and Ubuntu: apt-get install -y fakechroot)")
    native = f"/{getattr(sys.implementation, '_multiarch', '')}/"
    return min(found, key=lambda path: native not in path)


def build_base(order: Order) -> None:
    """Warden: builds the base tree. It has links for the host's paths, which are not mapped: `ls` must list them."""
    tree = f"{order.state}/base"
    base.build(
        tree,
        python=order.python.executable,
        version=order.python.version,
        path=order.python.path,
        pip=order.python.pip,
        seeds=order.seeds,
    )
    for directory in ("/etc/pam.d", "/dev"):
        os.makedirs(tree + directory)
    for path in _host_paths():
        os.symlink(path, tree + path)
    os.symlink(f"..{base.SHARED_MEMORY}", f"{tree}/dev/shm")
    for name, text in _own_etc().items():
        base.write(f"{tree}/etc/{name}", text)
    base.write(tree + base.PACKAGES.format(version=order.python.version) + "/podflare_preload.pth", _HIDE)


def start_keeper(order: Order, run: Callable[[Callable[[], plain.Keep]], None]) -> tuple[int, None]:
    """Warden: forks the keeper."""
    python = f"{base.VENV}/bin/python3"
    tree = f"{order.state}/base"
    excluded = _excluded([*_host_paths(), *plain.runtime(order), f"{order.state}/jails"])
    preloaded = {
        "LD_PRELOAD": library(),
        _BASE: tree,
        "FAKECHROOT_EXCLUDE_PATH": ":".join(excluded),
    }
    return plain.start_keeper(
        run,
        lambda: plain.Keep(
            order.state,
            executable=tree + python,
            python=python,
            environment={**environment.of_zygote(""), **preloaded},
            shared=excluded,
        ),
    )


def _host_paths() -> list[str]:
    """The paths that are not mapped: system directories, devices, and the host's files in /etc."""
    names = [f"/{name}" for name in (*SYSTEM, "var/lib/dpkg", *_KERNEL)]
    names += [f"/dev/{name}" for name in _DEVICES]
    names += [f"/etc/{name}" for name in (*HOST_ETC, "resolv.conf", "mtab")]
    return [name for name in names if os.path.lexists(name)]


def _excluded(paths: Iterable[str]) -> list[str]:
    """The paths that are not inside another one; raises OSError if libfakechroot cannot handle them."""
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not any(path.startswith(f"{other}/") for other in kept):
            kept.append(path)
    for path in kept:
        if ":" in path:
            raise OSError(f"fakechroot cannot exclude {path}: there is a colon in its name")
        if any(f"{own}/".startswith(f"{path}/") for own in base.OWN):
            raise OSError(
                f"{path} holds packages of the interpreter, but every sandbox has its own directory there"
            )
    if len(kept) > _MOST_EXCLUDED:
        raise OSError(f"fakechroot can exclude {_MOST_EXCLUDED} directories at most; there are {len(kept)}")
    return kept


def _own_etc() -> dict[str, str]:
    """The files of /etc that programs read. To resolve a host name, though, the C library reads the host's files.

    The user who started the emulator is named root.
    """
    return {
        "hostname": f"{os.uname().nodename}\n",
        "hosts": "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n",
        "passwd": accounts.passwd(os.getuid(), os.getgid()),
        "group": accounts.group(os.getgid()),
        **environment.ACCOUNTS,
    }


def check_variables() -> None:
    """Zygote: raises OSError if fakechroot's variables are in `os.environ`, where user code would see them."""
    if os.fsencode(_BASE) in os.environ._data:  # type: ignore[attr-defined]
        raise OSError(
            "the sandbox's site-packages were not processed: os.environ shows fakechroot's variables"
        )


class PreloadJail:
    """The directory that is this process's root for every call that goes through the C library."""

    root = "/"
    prefix = ""
    changes = None
    has_copier = True
    descriptors = ()
    written_over = staticmethod(plain.nothing_written_over)
    stack = None
    belongs = staticmethod(plain.Keep.belongs)

    def __init__(self, state: str, shared: Sequence[str]) -> None:
        self.mounts = frozenset(path.lstrip("/") for path in shared)
        self._state = state
        self._place = plain.Whereabouts(_BASE)
        self.resolve = self._place.resolve

    def enter(self, tree: str, entrance: Sequence[int]) -> None:
        os.unsetenv(_BASE)
        plain.confine(self._state)  # before the move: Landlock's rules take the host's paths
        self._move(tree)
        os.chdir("/root")

    def move(self, tree: str, entrance: Sequence[int]) -> None:
        """A forked child moves from its parent's directory to its own."""
        self._move(tree)
        os.chdir("/")

    def _move(self, tree: str) -> None:
        self._place.take(tree)
        os.putenv(_BASE, tree)
        if not os.path.samefile("/", tree):
            raise OSError("fakechroot does not work in this interpreter: it sees the host's paths")

    def mark(self) -> str:
        return self._place.mark

    def script(self, code: str) -> str:
        return code

    def variables(self) -> dict[str, str]:
        return environment.of_sandbox("")
