"""`python without_linux.py DIRECTORY ARGUMENT...`: runs a directory's `__main__` as if the system were a macOS.

It takes away what only Linux has, as far as Python code can see it, and puts in what is macOS's in its place. The
file system under it stays Linux's, and so do the programs that are started.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import importlib
import os
import posix
import resource
import runpy
import stat
import sys
import time
from typing import Any

F_GETPATH = 50
F_DUPFD_QUERY = 1027  # a number of Linux's that Python has no name for
COARSE_CLOCK = 5
SOFT_OPEN_FILES = 256

MISSING: dict[str, tuple[str, ...]] = {
    "posix": (
        *(
            "memfd_create",
            "pidfd_open",
            "copy_file_range",
            "splice",
            "eventfd",
            "getrandom",
            "pipe2",
            "unshare",
        ),
        *(
            "getxattr",
            "listxattr",
            "setxattr",
            "removexattr",
            "setns",
            "sched_setaffinity",
            "sched_getaffinity",
        ),
        *("O_PATH", "O_TMPFILE", "posix_fallocate", "posix_fadvise", "setresuid", "setresgid", "sendfile"),
    ),
    "_socket": ("MSG_CMSG_CLOEXEC", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "SO_PEERCRED", "MSG_NOSIGNAL"),
    "select": ("epoll",),
    "signal": ("pidfd_send_signal", "sigtimedwait", "sigwaitinfo"),
    "fcntl": ("F_ADD_SEALS", "F_GET_SEALS", "F_SETPIPE_SZ", "F_OFD_SETLK"),
}
OTHER_NAMES = {"posix": "os", "_socket": "socket"}
NOT_IN_THE_C_LIBRARY = (
    "prctl",
    "syscall",
    "unshare",
    "mount",
    "mremap",
    "epoll_create1",
    "epoll_ctl",
    "setns",
)

readlink, chmod, control = posix.readlink, posix.chmod, fcntl.fcntl


def main() -> None:
    del sys.argv[0]
    take_away()
    replace()
    sys.addaudithook(refuse_proc)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (SOFT_OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
    runpy.run_path(f"{sys.argv[0]}/__main__.py", run_name="__main__")


def take_away() -> None:
    sys.platform = "darwin"
    for name, missing in MISSING.items():
        for module in map(importlib.import_module, filter(None, (name, OTHER_NAMES.get(name)))):
            for attribute in missing:
                with contextlib.suppress(AttributeError):
                    delattr(module, attribute)
    found = ctypes.CDLL.__getattr__

    def of_another_c_library(library: ctypes.CDLL, name: str) -> Any:
        if name in NOT_IN_THE_C_LIBRARY:
            raise AttributeError(f"symbol not found: {name}")
        return found(library, name)

    ctypes.CDLL.__getattr__ = of_another_c_library  # type: ignore[method-assign]


def replace() -> None:
    posix.readlink = os.readlink = readlink_but_in_proc
    posix.chmod = os.chmod = chmod_that_need_not_follow
    fcntl.fcntl = control_with_paths
    fcntl.F_GETPATH = F_GETPATH  # type: ignore[attr-defined,unused-ignore]
    # Linux stamps files by this clock, macOS by the exact one.
    time.time_ns = lambda: time.clock_gettime_ns(COARSE_CLOCK)


def refuse_proc(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir") and in_proc(arguments[0]):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), arguments[0])


def in_proc(path: Any) -> bool:
    return isinstance(path, (str, bytes)) and os.fsencode(path).startswith(b"/proc")


def readlink_but_in_proc(path: Any, *, dir_fd: int | None = None) -> Any:
    if in_proc(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return readlink(path, dir_fd=dir_fd)


def chmod_that_need_not_follow(
    path: Any, mode: int, *, dir_fd: int | None = None, follow_symlinks: bool = True
) -> None:
    if not follow_symlinks and stat.S_ISLNK(os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_mode):
        return
    chmod(path, mode, dir_fd=dir_fd)


def control_with_paths(number: Any, command: int, argument: Any = 0) -> Any:
    if command == F_DUPFD_QUERY:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    if command != F_GETPATH:
        return control(number, command, argument)
    path = os.fsencode(readlink(f"/proc/self/fd/{number}"))
    if not path.startswith(b"/"):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return path.removesuffix(b" (deleted)").ljust(len(argument), b"\0")


if __name__ == "__main__":
    main()
