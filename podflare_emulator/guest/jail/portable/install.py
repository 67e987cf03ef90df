"""Installs the mapping: replaces every function that `calls` and `spawn` have a stand-in for, in all modules."""

from __future__ import annotations

import _imp
import _io
import builtins
import io
import os
import posix
import posixpath
import sys

from . import calls, spawn
from .library import entries

TYPE_CHECKING = False  # as in `typing`, which would cost every Python milliseconds at its start
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

# Modules that are usually imported later, if at all: their functions and classes whose first argument is a path, and
# that argument's name.
_LATE_CALLS = {
    "_ctypes": {"dlopen": "name"},
    "_dbm": {"open": "filename"},
    "_gdbm": {"open": "filename"},
    "readline": {
        "append_history_file": "filename",
        "read_history_file": "filename",
        "read_init_file": "filename",
        "write_history_file": "filename",
    },
    "pyarrow.lib": {"OSFile": "path", "memory_map": "path"},
    "pyarrow.util": {"_stringify_path": "path"},  # all paths that pyarrow itself opens go through this
}
_AFTER_ANOTHER = frozenset({"append_history_file"})  # the path is the second argument
# Modules that a module of `library` adapts, and the function in it that does so.
_LATE_MODULES = {
    "_sqlite3": ("sqlite", "dress"),
    "asyncio.base_subprocess": ("pipes", "dress_asyncio"),
    "distlib.scripts": ("environments", "dress_scripts"),
    "pip._vendor.distlib.scripts": ("environments", "dress_scripts"),
    "socket": ("sockets", "dress"),
    "subprocess": ("pipes", "dress_subprocess"),
    "threading": ("tracebacks", "dress_threading"),
    "traceback": ("tracebacks", "dress"),
    "venv": ("environments", "dress_venv"),
}
_LATE = frozenset({*_LATE_CALLS, *_LATE_MODULES, "_posixsubprocess"})

# Modules whose classes and functions keep references to functions of os from their import.
_REBOUND_INSIDE = ("glob", "pathlib", "pathlib._local", "shutil", "tempfile")

_GUEST = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_replaced: dict[int, tuple[Any, Any]] = {}  # the original and its replacement, by the id of the original


def install() -> None:
    """Once in a process. Nothing is mapped before `mapping.activate`, so a zygote can do this for its guests."""
    if _replaced:
        return
    for name, mapped in {**calls.os_stand_ins(), **spawn.stand_ins()}.items():
        _replace((os, posix), name, mapped)
    _replace((os, posix), "scandir", calls.stand_in(os.scandir, entries.scandir))
    _replace((os, posix), "DirEntry", entries.DirEntry)
    _replace((posixpath,), "realpath", calls.stand_in(posixpath.realpath, calls.realpath))
    _replace((builtins, io, _io), "open", calls.stand_in(io.open, calls.open_file))
    _replace((io, _io), "open_code", calls.stand_in(io.open_code, calls.of_path(io.open_code)))
    _replace((io, _io), "FileIO", calls.FileIO)
    _imp.create_dynamic = calls.create_dynamic
    calls.FileIO.__module__, calls.FileIO.__doc__ = calls.file_class.__module__, calls.file_class.__doc__
    for name in _LATE & sys.modules.keys():
        _replace_late(sys.modules[name])
    sys.meta_path.insert(0, _LateFinder())
    _rebind()


def _replace(modules: Sequence[ModuleType], name: str, mapped: Any) -> None:
    before = getattr(modules[0], name)
    _replaced[id(before)] = (before, mapped)
    for module in modules:
        if hasattr(module, name):
            setattr(module, name, mapped)
    for kind in ("supports_dir_fd", "supports_effective_ids", "supports_fd", "supports_follow_symlinks"):
        functions = getattr(os, kind)
        if before in functions:
            functions.add(mapped)


def _replace_late(module: ModuleType) -> None:
    for name, keyword in _LATE_CALLS.get(module.__name__, {}).items():
        function = getattr(module, name, None)
        if function is not None:
            is_class = isinstance(function, type)
            first = int(is_class or name in _AFTER_ANOTHER)
            call = calls.of_keyword(function.__new__ if is_class else function, keyword, first=first)
            mapped = (
                type(name, (function,), {"__new__": call, "__module__": function.__module__})
                if is_class
                else calls.stand_in(function, call)
            )
            _replace((module,), name, mapped)
    if module.__name__ == "_posixsubprocess":
        _replace((module,), "fork_exec", spawn.fork_exec_stand_in(module.fork_exec))
    if module.__name__ in _LATE_MODULES:
        name, function = _LATE_MODULES[module.__name__]
        room = __import__(f"{__package__}.library.{name}", fromlist=[name])
        for replaced, mapped in getattr(room, function)(module).items():
            _replace((module,), replaced, mapped)


class _LateFinder:
    """Asks the other finders for the modules of `_LATE`, and replaces their functions once they are loaded."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in _LATE:
            return None
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None and spec.loader is not None:
                    spec.loader = _LateLoader(spec.loader)  # type: ignore[assignment]
                    return spec
        return None


class _LateLoader:
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _replace_late(module)


def _rebind() -> None:
    """Replaces functions in loaded modules that have imported them by name: `from os import stat`."""
    for module in list(sys.modules.values()):
        namespace = getattr(module, "__dict__", None)
        if not isinstance(namespace, dict) or str(namespace.get("__file__")).startswith(_GUEST):
            continue  # the emulator's own code keeps the originals that it has imported
        for name, value in list(namespace.items()):
            if id(value) in _replaced:
                namespace[name] = _replaced[id(value)][1]
        if module.__name__ in _REBOUND_INSIDE:
            _rebind_inside(namespace, module.__name__)


def _rebind_inside(namespace: dict[str, Any], module: str) -> None:
    for value in list(namespace.values()):
        if isinstance(value, type) and value.__module__ == module:
            for name, attribute in list(vars(value).items()):
                function = attribute.__func__ if isinstance(attribute, staticmethod) else attribute
                if id(function) in _replaced:
                    setattr(value, name, _replaced[id(function)][1])
                elif hasattr(function, "__defaults__"):
                    _rebind_defaults(function)
        elif hasattr(value, "__defaults__"):
            _rebind_defaults(value)


def _rebind_defaults(function: Any) -> None:
    if function.__defaults__ and any(id(value) in _replaced for value in function.__defaults__):
        function.__defaults__ = tuple(
            _replaced.get(id(value), (value, value))[1] for value in function.__defaults__
        )
