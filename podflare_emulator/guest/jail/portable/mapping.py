"""The portable backend's mapping: inside a guest, `/root/x` means `<the sandbox's directory>/root/x`.

`install` replaces every function of Python's that takes or returns a path, once in a process, by one that maps it;
`activate` says what is mapped to where; `move` changes that in a forked child. Programs that Python starts get mapped
arguments, directories and environments (spawn.py, programs.py), bash gets a rewritten script (shell.py), and Pythons
among them come here by themselves (`write_boot`).

Known not to be mapped:
- C code that opens files by itself: SQL's `ATTACH` and `VACUUM INTO`, `ssl` loading certificates, OpenCV, h5py,
  polars, DuckDB, and every other library that is not in `_LATE_CALLS`; POSIX shared memory and semaphores;
- paths that a program has compiled in, reads from a file, or builds while it runs; `cd ../..` out of the sandbox in
  bash; scripts of another shell than bash, and scripts that bash reads from a pipe;
- Pythons that are not the sandbox's own (`/usr/bin/python3`), or run with `-S`, or by `env -i`;
- what bash captures of programs, and what Python captures otherwise than by subprocess and asyncio: it names the real
  directory, which Python takes for the sandbox's, so that it can be used;
- the frames of the mapping in a traceback that the user's code walks through by itself;
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
    """From now on this process's paths are the sandbox's. `path_map` is kept: `move` changes it."""
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
        sys.modules["tempfile"].__dict__["tempdir"] = None  # found before there was a mapping


def move(root: str) -> None:
    """After a live fork: the same interpreter goes on in another directory, at the same place in it.

    Paths of the directory that it leaves, wherever the program has kept them, mean the new one's from now on. A working
    directory that is not there (yet) in the new one leaves the process at its top. A mapped process that copies the
    old tree into the new one after this, link by link (`os.readlink`, `os.symlink`), makes absolute links lead into it.
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
    """For a bash whose script has been through `shell_command`: where its home and its temporary files are."""
    from . import programs

    root = path_map.prefix
    return {
        "HOME": f"{root}/root",
        "TMPDIR": f"{root}/tmp",
        "PWD": f"{root}/root",
        programs.REWRITTEN: "1",
    }


def child_environment(path_map: PathMap, guest_path: str) -> dict[str, str]:
    """What Pythons and bashes that descend from a program find their mapping by.

    Args:
        guest_path: the guest package's own directory.
    """
    from . import programs

    return programs.child_variables(path_map, f"{guest_path}/jail/portable")


def activate_from_environment() -> None:
    """In a Python that a sandbox has started: the mapping of the process that started it."""
    path_map = PathMap.of_variables(os.environ)
    for name in (ROOT_VARIABLE, SHARED_VARIABLE, "BASH_ENV"):
        os.environ.pop(name, None)  # what this process starts is given them anew
    activate(path_map)
    main.show()
    tracebacks.show_childs()
