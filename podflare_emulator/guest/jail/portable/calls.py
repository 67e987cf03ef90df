"""Replacements in a portable sandbox for the functions of Python that take or return a path."""

from __future__ import annotations

import _imp
import _io
import io
import os
from abc import ABCMeta

from .paths import PathMap

TYPE_CHECKING = False  # as in `typing`, which would cost every Python milliseconds at its start
if TYPE_CHECKING:
    from collections.abc import Callable
    from functools import partial
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any
else:
    from _functools import partial  # functools itself takes longer to import than everything here

__tracebackhide__ = True  # read by pytest

# The functions of os that take paths, and the kinds of their leading parameters. A "link" may be relative to another
# directory than the current one.
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
_ELSEWHERE = ("dir_fd", "src_dir_fd", "dst_dir_fd")  # if given, relative paths are relative to these


class _Originals:
    """The emulator's own code must use these for the host's paths."""

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
_paths = PathMap("/", ())  # the mapping in force; this one maps nothing


def use(path_map: PathMap) -> None:
    global _paths
    _paths = path_map


def current() -> PathMap:
    return _paths


class MappedFunction(partial[Any] if TYPE_CHECKING else partial):  # type: ignore[misc]
    """Stands in for a built-in function. Like one, and unlike a Python function, it never becomes a bound method."""

    def __get__(self, instance: object, owner: type | None = None) -> MappedFunction:
        return self

    def __reduce__(self) -> str:
        name: str = self.__name__
        return name  # pickled by name, as functions are

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


def stand_in(function: Callable[..., Any], call: Callable[..., Any]) -> MappedFunction:
    """Wraps `call` with the name, documentation and signature of `function`."""
    mapped = MappedFunction(call)
    for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(mapped, attribute, getattr(function, attribute, None))
    mapped.__wrapped__ = function
    return mapped


# -- calls -------------------------------------------------------------------------------------------------------------


def show(error: OSError, *shown: tuple[Any, Any]) -> None:
    """Makes the error name the paths that were passed."""
    for real, passed in shown:
        if isinstance(passed, os.PathLike):
            passed = os.fspath(passed)
        if error.filename is not None and error.filename == real:
            error.filename = passed
        if error.filename2 is not None and error.filename2 == real:
            error.filename2 = passed


def of_path(function: Callable[..., Any]) -> Callable[..., Any]:
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
    required = of_path(function)

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


def of_keyword(function: Callable[..., Any], keyword: str, first: int) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) > first:
            args = (*args[:first], _real_or_url(args[first]), *args[first + 1 :])
        elif keyword in kwargs:
            kwargs[keyword] = _real_or_url(kwargs[keyword])
        return function(*args, **kwargs)

    return call


def _real_or_url(path: Any) -> Any:
    """Maps a path or a `file:` URL: SQLite and pyarrow take both."""
    if isinstance(path, str) and path.startswith("file:"):
        place = path.removeprefix("file:").removeprefix("//")
        return f"file:{_paths.real(place)}" if place[:1] == "/" else path
    return _paths.real(path)


def _with_result(call: Callable[..., Any]) -> Callable[..., Any]:
    def call_and_show(*args: Any, **kwargs: Any) -> Any:
        return _paths.virtual(call(*args, **kwargs))

    return call_and_show


def os_stand_ins() -> dict[str, MappedFunction]:
    """The replacements, by name in os."""
    return {name: _os_stand_in(name) for name in (*_OS_CALLS, *_OS_RESULTS) if hasattr(os, name)}


def _os_stand_in(name: str) -> MappedFunction:
    function = getattr(os, name)
    parameters = _OS_CALLS.get(name, ())
    if len(parameters) == 2:
        call = _of_two_paths(function, is_link=parameters[0] == "link")
    elif parameters:
        call = of_path(function) if parameters[0] == "path" else _of_optional_path(function)
    else:
        call = function
    return stand_in(function, _with_result(call) if name in _OS_RESULTS else call)


def realpath(filename: Any, **kwargs: Any) -> Any:
    return original.realpath(_paths.virtual(os.fspath(filename)), **kwargs)


def create_dynamic(spec: ModuleSpec, *args: Any) -> ModuleType:
    """The linker loads an extension module from the host's path, but the module still shows the sandbox's."""
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
    """An opener: the file object keeps the name that user code has passed."""
    real = _paths.real(path)
    try:
        return original.os_open(real, flags, 0o666)
    except OSError as error:
        show(error, (real, path))
        raise


def open_file(
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
    """Files made by `open` have the built-in class, but they count as instances of its replacement too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, file_class) if cls is FileIO else super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, file_class) if cls is FileIO else super().__subclasscheck__(subclass)


file_class = _io.FileIO


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
