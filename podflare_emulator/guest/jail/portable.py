"""The portable backend's mapping: inside a guest, `/root/x` means `<the sandbox's directory>/root/x`.

`install` replaces every function of Python's that takes or returns a path, once in a process, by one that maps it;
`activate` says what is mapped to where; `move` changes that in a forked child. Programs that Python starts get mapped
arguments, working directories and environments (portable_programs.py), bash gets a rewritten script (portable_shell.py),
and Pythons among them come here by themselves (`write_boot`).

Known not to be mapped:
- C code that opens files by itself: SQL's `ATTACH` and `VACUUM INTO`, `ssl` loading certificates, OpenCV, h5py, polars,
  DuckDB, and every other library that is not in `_LATE`; names of shared memory, which `/dev/shm` is not asked for;
- paths that a program has compiled in, reads from a file, or builds while it runs; `cd ../..` out of the sandbox in
  bash; scripts of another shell than bash, and scripts that bash reads from a pipe;
- Pythons that are not the sandbox's own (`/usr/bin/python3`), or run with `-S`, or by `env -i`;
- output of programs that Python code captures: it names the real directory (which Python takes for the sandbox's, so
  that it can be used), and so does `__file__` of a script that bash started;
- the types of `os`'s functions: they are instances of `MappedFunction`, not built-in functions.
"""

from __future__ import annotations

import _io
import builtins
import io
import os
import posix
import posixpath
import sys

from .portable_paths import SYSTEM_DIRECTORIES, PathMap

TYPE_CHECKING = False  # as in `typing`, which costs a Python that starts up milliseconds
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

__all__ = [
    "SYSTEM_DIRECTORIES",
    "PathMap",
    "activate",
    "activate_from_environment",
    "bash_environment",
    "child_environment",
    "install",
    "move",
    "original",
    "shell_command",
    "without_wrappers",
    "write_boot",
]

# -- the table ---------------------------------------------------------------------------------------------------------

# What os has that takes paths: the name, and what its leading parameters are. A "link" may be relative to another place
# than the current directory.
_OS_CALLS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            *(
                "access",
                "chdir",
                "chflags",
                "chmod",
                "chown",
                "chroot",
                "lchflags",
                "lchmod",
                "lchown",
                "lstat",
            ),
            *(
                "mkdir",
                "mkfifo",
                "mknod",
                "open",
                "pathconf",
                "readlink",
                "remove",
                "rmdir",
                "stat",
                "statvfs",
            ),
            *("truncate", "unlink", "utime", "getxattr", "removexattr", "setxattr"),
        ),
        ("path",),
    ),
    **dict.fromkeys(("listdir", "listxattr"), ("optional",)),
    **dict.fromkeys(("link", "rename", "replace"), ("path", "path")),
    "symlink": ("link", "path"),
}
_OS_RESULTS = ("getcwd", "getcwdb", "readlink")  # these return a path

# Modules that are often imported later, if at all, and the functions in them whose first argument is a path.
_LATE_CALLS = {
    "_ctypes": ("dlopen",),
    "_dbm": ("open",),
    "_gdbm": ("open",),
    "_sqlite3": ("connect",),
    "pyarrow.fs": ("_resolve_filesystem_and_path",),
}

# Modules whose classes and functions keep functions of os that they found when they were imported.
_REBOUND_INSIDE = ("glob", "pathlib", "pathlib._local", "shutil", "tempfile")

_DIRECTORY_DESCRIPTORS = ("dir_fd", "src_dir_fd", "dst_dir_fd")


class _Originals:
    """What the emulator's own code must use where it means the host's paths."""

    open = staticmethod(io.open)
    os_open = staticmethod(os.open)
    stat = staticmethod(os.stat)
    lstat = staticmethod(os.lstat)
    listdir = staticmethod(os.listdir)
    scandir = staticmethod(os.scandir)
    readlink = staticmethod(os.readlink)
    symlink = staticmethod(os.symlink)
    unlink = staticmethod(os.unlink)
    getcwd = staticmethod(os.getcwd)
    chdir = staticmethod(os.chdir)
    realpath = staticmethod(os.path.realpath)
    execve = staticmethod(os.execve)


original = _Originals()
_paths = PathMap("/", ())  # what is in force; this one maps nothing
_replaced: dict[int, Any] = {}  # by the id of what was replaced


# -- starting, moving --------------------------------------------------------------------------------------------------


def install() -> None:
    """Replaces what the table names. Nothing is mapped before `activate`: a zygote can do this ahead of its guests."""
    if _replaced:
        return
    replacements = _os_replacements()
    for name, mapped in replacements.items():
        _replace(os, name, mapped)
        if hasattr(posix, name):
            setattr(posix, name, mapped)
    _replace(posixpath, "realpath", _realpath)
    for name, mapped in (
        ("open", _open),
        ("open_code", _mapped(io.open_code, ("path",))),
        ("FileIO", _FileIO),
    ):
        _replace(io, name, mapped)
        setattr(_io, name, mapped)
    builtins.open = io.open
    _replace(_imp, "create_dynamic", _create_dynamic)
    sys.meta_path.insert(0, _LateCalls())
    for late in _LATE:
        if late in sys.modules:
            _replace_late(sys.modules[late])
    _rebind()


def activate(path_map: PathMap) -> None:
    """From now on this process's paths are the sandbox's. `path_map` is kept: `move` changes it."""
    global _paths
    install()
    _paths = path_map
    for name, value in os.environ.items():
        if path_map.root in value:
            os.environ[name] = path_map.shown(value)
    sys.path[:] = [path_map.shown(path) if isinstance(path, str) else path for path in sys.path]
    for attribute in ("executable", "prefix", "exec_prefix"):
        setattr(sys, attribute, path_map.shown(getattr(sys, attribute)))
    sys.argv[:] = map(path_map.shown, sys.argv)
    sys.path_importer_cache.clear()
    if tempfile := sys.modules.get("tempfile"):
        tempfile.tempdir = None


def move(root: str) -> None:
    """After a live fork: the same interpreter goes on in another directory, at the same place in it.

    Paths of the directory that it leaves, wherever the program has kept them, mean the new one's from now on. A working
    directory that is not there (yet) in the new one leaves the process at its top.
    """
    try:
        directory = _paths.virtual(original.getcwd())
    except FileNotFoundError:
        directory = "/"
    _paths.move(root)
    try:
        original.chdir(_paths.real(directory))
    except OSError:
        original.chdir(root)
    for finder in sys.path_importer_cache.values():
        if hasattr(finder, "invalidate_caches"):
            finder.invalidate_caches()


def retarget_links(root: str, former: str) -> None:
    """Makes the symbolic links below `root`, a copy of `former`, that lead into `former` lead into the copy."""
    pending = [root]
    while pending:
        directory = pending.pop()
        try:
            entries = list(original.scandir(directory))
        except OSError:  # a directory of mode 000: not to be read by the one who made it either
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            elif entry.is_symlink():
                target = original.readlink(entry.path)
                if target == former or target.startswith(f"{former}/"):
                    original.unlink(entry.path)
                    original.symlink(root + target[len(former) :], entry.path)


# -- programs ----------------------------------------------------------------------------------------------------------


def shell_command(code: str, path_map: PathMap) -> str:
    """See portable_shell.py."""
    from . import portable_shell

    return portable_shell.shell_command(code, path_map)


def bash_environment(path_map: PathMap) -> dict[str, str]:
    """For a bash whose script has been through `shell_command`: where its home and its temporary files are."""
    from . import portable_programs

    root = path_map.prefix
    return {
        "HOME": f"{root}/root",
        "TMPDIR": f"{root}/tmp",
        "PWD": f"{root}/root",
        portable_programs.REWRITTEN: "1",
    }


def child_environment(path_map: PathMap, guest_path: str) -> dict[str, str]:
    """What Pythons and bashes that descend from a program find their mapping by.

    Args:
        guest_path: the guest package's own directory, the one that `jail` is in.
    """
    from . import portable_programs

    return portable_programs.child_variables(path_map, f"{guest_path}/jail")


def write_boot(site_packages: str, guest_path: str) -> None:
    """Makes every Python that starts with this site-packages come into its mapping, if its environment names one."""
    jail = f"{guest_path}/jail"
    original.stat(f"{jail}/portable.py")  # says at once what is wrong, where a child would die of it
    with original.open(f"{site_packages}/podflare_jail_boot.py", "w", encoding="utf-8") as file:
        file.write(_BOOT.format(jail=jail))
    with original.open(f"{site_packages}/podflare_jail.pth", "w", encoding="utf-8") as file:
        file.write("import podflare_jail_boot\n")


_BOOT = """\
import os

if "PODFLARE_PORTABLE_ROOT" in os.environ:
    import sys

    package = type(sys)("_podflare_jail")
    package.__path__ = [{jail!r}]
    sys.modules[package.__name__] = package
    from _podflare_jail.portable import activate_from_environment

    activate_from_environment()
"""


def activate_from_environment() -> None:
    """In a Python that a sandbox has started: the mapping of the process that started it."""
    variables = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
    activate(map_of_environment(variables))
    sys.excepthook = _excepthook


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    trace = without_wrappers(trace)
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


def without_wrappers(trace: TracebackType | None) -> TracebackType | None:
    """A traceback with the frames of this file taken out: what failed is the user's call."""
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    if trace is not None:
        trace.tb_next = without_wrappers(trace.tb_next)
    return trace
