"""The portable backend's mapping: inside a guest, `/root/x` means `<the sandbox's directory>/root/x`.

`install` replaces every function of Python that takes or returns a path by one that maps it, once in a process.
`activate` defines the mapping, and `move` changes it in a forked child. Programs that Python starts get mapped
arguments, directories and environments (spawn.py, programs.py), bash gets a rewritten script (shell.py), and Pythons
among them activate the mapping by themselves (`write_boot`).

Known limits. These are not mapped:
- C code that opens files by itself: SQL's `ATTACH` and `VACUUM INTO`, `ssl` loading certificates, OpenCV, h5py,
  polars, DuckDB, and every other library that is not in `_LATE_CALLS`; POSIX shared memory and semaphores;
- paths that a program has compiled in, reads from a file, or builds at run time; `cd ../..` out of the sandbox in
  bash; scripts for other shells than bash, and scripts that bash reads from a pipe;
- Pythons that are not the sandbox's own (`/usr/bin/python3`), or run with `-S`, or through `env -i`;
- output that bash captures from programs, or Python by other means than subprocess and asyncio: it names the real
  directory. Python accepts that as a path of the sandbox, so the output can be used.
These are visible:
- the frames of the mapping in a traceback, if user code walks through it frame by frame;
- the types of `os`'s functions: they are instances of `MappedFunction`, not built-in functions.
"""

from __future__ import annotations

import os
import sys

from . import calls
from .boot import write_boot
from .calls import original
from .install import install
from .library import main, tracebacks
from .paths import ROOT_VARIABLE, SHARED_VARIABLE, SYSTEM_DIRECTORIES, PathMap

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
    "write_boot",
]


def activate(path_map: PathMap) -> None:
    """From now on this process's paths are the sandbox's. It keeps `path_map`, which `move` changes."""
    install()
    calls.use(path_map)
    for name, value in os.environ.items():
        if path_map.root in value:
            os.environ[name] = path_map.shown(value)
    sys.path[:] = [path_map.shown(path) if isinstance(path, str) else path for path in sys.path]
    sys.executable = path_map.shown(sys.executable)
    for words in (sys.argv, sys.orig_argv):
        words[:] = map(path_map.shown, words)
    sys.path_importer_cache.clear()
    sys.excepthook = tracebacks.excepthook
    if "tempfile" in sys.modules:
        sys.modules["tempfile"].__dict__["tempdir"] = None  # it was set before there was a mapping


def move(root: str) -> None:
    """After a live fork: the same interpreter continues in another directory, at the same place in it.

    From now on, paths of the old directory mean files in the new one, wherever the program has kept these paths. If the
    working directory does not exist in the new one (yet), the process moves to its top. If a mapped process then copies
    the old tree to the new one, link by link (`os.readlink`, `os.symlink`), absolute links lead into the new one.
    """
    path_map = calls.current()
    try:
        directory = path_map.virtual(original.getcwd())
    except FileNotFoundError:
        directory = "/"
    path_map.move(root)
    try:
        original.chdir(path_map.real(directory))
    except OSError:
        original.chdir(root)
    for finder in sys.path_importer_cache.values():
        if finder is not None and hasattr(finder, "invalidate_caches"):
            finder.invalidate_caches()


def shell_command(code: str, path_map: PathMap) -> str:
    """See shell.py."""
    from . import shell

    return shell.shell_command(code, path_map)


def bash_environment(path_map: PathMap) -> dict[str, str]:
    """For a bash whose script has been through `shell_command`: the places of its home and its temporary files."""
    from . import programs

    root = path_map.prefix
    return {
        "HOME": f"{root}/root",
        "TMPDIR": f"{root}/tmp",
        "PWD": f"{root}/root",
        programs.REWRITTEN: "1",
    }


def child_environment(path_map: PathMap, guest_path: str) -> dict[str, str]:
    """The variables by which Pythons and bashes that descend from a program find their mapping.

    Args:
        guest_path: the directory of the guest package.
    """
    from . import programs

    return programs.child_variables(path_map, f"{guest_path}/jail/portable")


def activate_from_environment() -> None:
    """In a Python that a sandbox has started: activates the mapping of the process that started it."""
    path_map = PathMap.of_variables(os.environ)
    for name in (ROOT_VARIABLE, SHARED_VARIABLE, "BASH_ENV"):
        os.environ.pop(name, None)  # programs that this process starts get them again
    if os.environ.get("TMPDIR") == path_map.real("/tmp"):
        del os.environ["TMPDIR"]  # likewise
    activate(path_map)
    main.show()
    tracebacks.show_childs()
