"""The functions of Python's that take or return a path, and what stands in for them in a portable sandbox."""

from __future__ import annotations

import _imp
import _io
import builtins
import io
import os
import posix
import posixpath
import sys
from abc import ABCMeta

from .portable_paths import PathMap

TYPE_CHECKING = False  # as in `typing`, which costs a Python that starts up milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from functools import partial
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any
else:
    from _functools import partial  # functools itself takes longer to import than everything here

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
_ELSEWHERE = ("dir_fd", "src_dir_fd", "dst_dir_fd")  # what a relative path is relative to, if given

# Modules that are mostly imported later, if at all; in them, the functions and classes whose first argument is a path,
# and its name.
_LATE_CALLS = {
    "_ctypes": {"dlopen": "name"},
    "_dbm": {"open": "filename"},
    "_gdbm": {"open": "filename"},
    "_sqlite3": {"connect": "database"},
    "pyarrow.lib": {"OSFile": "path", "memory_map": "path"},
    "pyarrow.util": {"_stringify_path": "path"},  # all that pyarrow opens by itself has been through this
}
_SOCKET_CALLS = ("bind", "connect", "connect_ex")
_LATE = frozenset({*_LATE_CALLS, "_posixsubprocess", "socket"})

# Modules whose classes and functions keep functions of os that they found when they were imported.
_REBOUND_INSIDE = ("glob", "pathlib", "pathlib._local", "shutil", "tempfile")

_GUEST = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FILES = frozenset({__file__, os.path.join(os.path.dirname(__file__), "portable_spawn.py")})


class _Originals:
    """What the emulator's own code must use where it means the host's paths."""

    open = staticmethod(io.open)
    os_open = staticmethod(os.open)
    stat = staticmethod(os.stat)
    lstat = staticmethod(os.lstat)
    listdir = staticmethod(os.listdir)
    scandir: Callable[..., Any] = staticmethod(os.scandir)
    readlink = staticmethod(os.readlink)
    symlink = staticmethod(os.symlink)
    unlink = staticmethod(os.unlink)
    getcwd = staticmethod(os.getcwd)
    chdir = staticmethod(os.chdir)
    realpath = staticmethod(os.path.realpath)


original = _Originals()
_paths = PathMap("/", ())  # what is in force; this one maps nothing
_replaced: dict[int, tuple[Any, Any]] = {}  # what was there and what is there now, by the id of the first


def use(path_map: PathMap) -> None:
    global _paths
    _paths = path_map


def current() -> PathMap:
    return _paths


class MappedFunction(partial[Any] if TYPE_CHECKING else partial):  # type: ignore[misc]
    """Stands in for a built-in function. As one, and unlike Python's own, it is no method where a class keeps it."""

    def __get__(self, instance: object, owner: type | None = None) -> MappedFunction:
        return self

    def __reduce__(self) -> str:
        name: str = self.__name__
        return name  # pickled by name, as functions are

    def __repr__(self) -> str:
        return f"<mapped function {self.__name__}>"


def stand_in(function: Callable[..., Any], call: Callable[..., Any]) -> MappedFunction:
    """`call` as `function`: by name, documentation and signature."""
    mapped = MappedFunction(call)
    for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(mapped, attribute, getattr(function, attribute, None))
    mapped.__wrapped__ = function
    return mapped


# -- calls -------------------------------------------------------------------------------------------------------------


def show(error: OSError, *shown: tuple[Any, Any]) -> None:
    """The error names the path that was passed."""
    for real, passed in shown:
        if isinstance(passed, os.PathLike):
            passed = os.fspath(passed)
        if error.filename is not None and error.filename == real:
            error.filename = passed
        if error.filename2 is not None and error.filename2 == real:
            error.filename2 = passed


def _of_path(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs and any(kwargs.get(name) is not None for name in _ELSEWHERE):
            real = _paths.target(path)
        else:
            real = _paths.real(path)
        try:
            return function(real, *args, **kwargs)
        except OSError as error:
            show(error, (real, path))
            raise

    return call


def _of_optional_path(function: Callable[..., Any]) -> Callable[..., Any]:
    required = _of_path(function)

    def call(path: Any = None, *args: Any, **kwargs: Any) -> Any:
        return required(path, *args, **kwargs)

    return call


def _of_two_paths(function: Callable[..., Any], is_link: bool) -> Callable[..., Any]:
    def call(src: Any, dst: Any, *args: Any, **kwargs: Any) -> Any:
        elsewhere = kwargs and any(kwargs.get(name) is not None for name in _ELSEWHERE)
        source = _paths.target(src) if is_link or elsewhere else _paths.real(src)
        target = _paths.target(dst) if elsewhere else _paths.real(dst)
        try:
            return function(source, target, *args, **kwargs)
        except OSError as error:
            show(error, (source, src), (target, dst))
            raise

    return call


def _of_keyword(function: Callable[..., Any], keyword: str, first: int) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) > first:
            args = (*args[:first], _real_or_url(args[first]), *args[first + 1 :])
        elif keyword in kwargs:
            kwargs[keyword] = _real_or_url(kwargs[keyword])
        return function(*args, **kwargs)

    return call


def _real_or_url(path: Any) -> Any:
    """SQLite and pyarrow take `file:` URLs too."""
    if isinstance(path, str) and path.startswith("file:"):
        place = path.removeprefix("file:").removeprefix("//")
        return f"file:{_paths.real(place)}" if place[:1] == "/" else path
    return _paths.real(path)


def _with_result(call: Callable[..., Any]) -> Callable[..., Any]:
    def call_and_show(*args: Any, **kwargs: Any) -> Any:
        return _paths.virtual(call(*args, **kwargs))

    return call_and_show


def _os_stand_in(name: str) -> MappedFunction:
    function = getattr(os, name)
    parameters = _OS_CALLS.get(name, ())
    if len(parameters) == 2:
        call = _of_two_paths(function, is_link=parameters[0] == "link")
    elif parameters:
        call = _of_path(function) if parameters[0] == "path" else _of_optional_path(function)
    else:
        call = function
    return stand_in(function, _with_result(call) if name in _OS_RESULTS else call)


def _realpath(filename: Any, **kwargs: Any) -> Any:
    return original.realpath(_paths.virtual(os.fspath(filename)), **kwargs)


def _create_dynamic(spec: ModuleSpec, *args: Any) -> ModuleType:
    """An extension module is loaded by the linker, from the host's path, and goes on showing the sandbox's."""
    shown = spec.origin
    spec.origin = _paths.real(shown)
    try:
        module: ModuleType = _create_dynamic_module(spec, *args)
    finally:
        spec.origin = shown
    if shown is not None:
        module.__file__ = shown
    return module


_create_dynamic_module = _imp.create_dynamic


# -- files -------------------------------------------------------------------------------------------------------------


def _open_mapped(path: Any, flags: int) -> int:
    """As an opener: what is opened keeps the name that it was asked for by."""
    real = _paths.real(path)
    try:
        return original.os_open(real, flags, 0o666)
    except OSError as error:
        show(error, (real, path))
        raise


def _open(
    file: Any,
    mode: Any = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Callable[[str, int], int] | None = None,
) -> Any:
    if opener is None and not isinstance(file, int):
        opener = _open_mapped
    return original.open(file, mode, buffering, encoding, errors, newline, closefd, opener)


class _FileType(ABCMeta):
    """Files that `open` makes are of the built-in class, and instances of what stands in for it all the same."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _file_class) if cls is FileIO else super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _file_class) if cls is FileIO else super().__subclasscheck__(subclass)


_file_class = _io.FileIO


class FileIO(_io.FileIO, metaclass=_FileType):
    def __init__(
        self,
        file: Any,
        mode: str = "r",
        closefd: bool = True,
        opener: Callable[[str, int], int] | None = None,
    ) -> None:
        super().__init__(
            file, mode, closefd, _open_mapped if opener is None and not isinstance(file, int) else opener
        )


class _Entry:
    """A directory entry whose path begins with what `scandir` was given."""

    __slots__ = ("_entry", "name", "path")

    def __init__(self, entry: os.DirEntry[Any], directory: Any) -> None:
        self._entry = entry
        self.name = entry.name
        self.path = posixpath.join(directory, entry.name)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # what isinstance asks
        return os.DirEntry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return repr(self._entry)


class _Entries:
    def __init__(self, entries: Any, directory: Any) -> None:
        self._entries = entries
        self._directory = directory
        self.close = entries.close

    def __iter__(self) -> Iterator[_Entry]:
        return self

    def __next__(self) -> _Entry:
        return _Entry(next(self._entries), self._directory)

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _scandir(path: Any = None) -> Any:
    real = _paths.real(path)
    if real is path:
        return original.scandir(path)
    try:
        return _Entries(original.scandir(real), os.fspath(path))
    except OSError as error:
        show(error, (real, path))
        raise


# -- in place ----------------------------------------------------------------------------------------------------------


def install() -> None:
    if _replaced:
        return
    from . import portable_spawn

    stand_ins = {name: _os_stand_in(name) for name in (*_OS_CALLS, *_OS_RESULTS) if hasattr(os, name)}
    stand_ins["scandir"] = stand_in(os.scandir, _scandir)
    stand_ins.update(portable_spawn.stand_ins())
    for name, mapped in stand_ins.items():
        _replace((os, posix), name, mapped)
    _replace((posixpath,), "realpath", stand_in(posixpath.realpath, _realpath))
    _replace((builtins, io, _io), "open", stand_in(io.open, _open))
    _replace((io, _io), "open_code", stand_in(io.open_code, _of_path(io.open_code)))
    _replace((io, _io), "FileIO", FileIO)
    _imp.create_dynamic = _create_dynamic
    FileIO.__module__, FileIO.__doc__ = _file_class.__module__, _file_class.__doc__
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
            call = _of_keyword(function.__new__ if is_class else function, keyword, first=int(is_class))
            mapped = (
                type(name, (function,), {"__new__": call, "__module__": function.__module__})
                if is_class
                else stand_in(function, call)
            )
            _replace((module,), name, mapped)
    if module.__name__ == "_posixsubprocess":
        from . import portable_spawn

        _replace((module,), "fork_exec", portable_spawn.fork_exec_stand_in(module.fork_exec))
    if module.__name__ == "socket":
        for name in _SOCKET_CALLS:
            setattr(module.socket, name, _of_address(getattr(module.socket, name), module.AF_UNIX))


def _of_address(method: Callable[..., Any], unix: int) -> Callable[..., Any]:
    def call(self: Any, address: Any) -> Any:
        if self.family == unix:
            address = _paths.target(address)
        return method(self, address)

    call.__name__, call.__doc__ = method.__name__, method.__doc__
    return call


class _LateFinder:
    """Asks the other finders for the modules of `_LATE`, and has them mapped when they have been loaded."""

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
    """Modules that are loaded already may have taken functions for their own: `from os import stat`."""
    for module in list(sys.modules.values()):
        namespace = getattr(module, "__dict__", None)
        if not isinstance(namespace, dict) or str(namespace.get("__file__")).startswith(_GUEST):
            continue  # the emulator's own code goes on meaning what it imported
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
