"""Replacements in a portable sandbox for the functions of Python that start programs."""

from __future__ import annotations

import os

from . import calls

TYPE_CHECKING = False  # as in `typing`
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .calls import MappedFunction

__tracebackhide__ = True  # read by pytest

_execve = os.execve
_posix_spawn = os.posix_spawn


def stand_ins() -> dict[str, MappedFunction]:
    """The replacements, by name in os."""
    by_name: dict[str, Callable[..., Any]] = {
        "execv": _exec_in_own_environment,
        "execve": _exec,
        "posix_spawn": _spawn,
        "posix_spawnp": _spawn_by_name,
        "system": _system,
    }
    return {name: calls.stand_in(getattr(os, name), call) for name, call in by_name.items()}


def fork_exec_stand_in(function: Callable[..., int]) -> MappedFunction:
    """For `_posixsubprocess.fork_exec`, the one call through which subprocess and multiprocessing start programs."""

    def call(
        words: Sequence[Any],
        executables: Sequence[Any],
        close_fds: bool,
        kept: Any,
        directory: Any,
        variables: Sequence[bytes] | None,
        *rest: Any,
    ) -> int:
        paths = calls.current()
        if not paths.prefix:
            return function(words, executables, close_fds, kept, directory, variables, *rest)
        by_name: Mapping[Any, Any] = os.environ
        if variables is not None:
            by_name = dict(variable.partition(b"=")[::2] for variable in variables)
        environment = _environment(by_name, words)
        executables, words = _program(tuple(map(paths.real, executables)), _arguments(words))
        return function(
            words,
            executables,
            close_fds,
            kept,
            paths.real(directory),
            [name + b"=" + value for name, value in environment.items()],
            *rest,
        )

    return calls.stand_in(function, call)


def _arguments(words: Sequence[Any]) -> list[Any]:
    from .programs import arguments  # only when a program is started: it imports re

    return arguments(words, calls.current())


def _program(places: Sequence[Any], words: list[Any]) -> tuple[Sequence[Any], list[Any]]:
    """Where it may be, and its arguments: those of its interpreter, if it is a script for one in the sandbox."""
    from .programs import interpreter

    return interpreter(places, words, calls.current())


def _environment(variables: Mapping[Any, Any], words: Sequence[Any]) -> dict[bytes, bytes]:
    from .programs import environment

    return environment(variables, calls.current(), words)


def _exec_in_own_environment(path: Any, argv: Any) -> None:
    try:
        _exec(path, argv, os.environ)
    except OSError as error:
        if error.filename is not None:  # os.execv does not set it
            del error.filename
        raise


def _exec(path: Any, argv: Any, env: Mapping[Any, Any]) -> None:
    if calls.current().prefix:
        argv, env = _arguments(argv), _environment(env, argv)
    real = calls.current().real(path)
    program = real
    if calls.current().prefix and not isinstance(path, int):  # a descriptor
        (program,), argv = _program([real], argv)
    try:
        _execve(program, argv, env)
    except OSError as error:
        calls.show(error, (program, path))
        raise


def _spawn(path: Any, argv: Any, env: Mapping[Any, Any] | None, **options: Any) -> int:
    env = os.environ if env is None else env  # Python 3.13
    if calls.current().prefix:
        argv, env = _arguments(argv), _environment(env, argv)
    real = calls.current().real(path)
    (program,), argv = _program([real], argv) if calls.current().prefix else ([real], argv)
    if options.get("file_actions"):
        options["file_actions"] = [_file_action(*action) for action in options["file_actions"]]
    try:
        return _posix_spawn(program, argv, env, **options)
    except OSError as error:
        calls.show(error, (program, path))
        raise


def _file_action(kind: int, descriptor: int, *rest: Any) -> tuple[Any, ...]:
    if kind == os.POSIX_SPAWN_OPEN:
        return (kind, descriptor, calls.current().real(rest[0]), *rest[1:])
    return (kind, descriptor, *rest)


def _spawn_by_name(path: Any, argv: Any, env: Mapping[Any, Any] | None, **options: Any) -> int:
    name = os.fsdecode(path)
    if "/" not in name:  # the C library would search PATH, which holds the sandbox's paths
        places = (f"{directory}/{name}" for directory in os.get_exec_path())
        name = next((place for place in places if os.access(place, os.X_OK)), name)
    return _spawn(name, argv, env, **options)


def _system(command: str | bytes) -> int:
    import subprocess

    code = subprocess.Popen(["sh", "-c", command], executable="/bin/sh").wait()
    return -code if code < 0 else code << 8  # a wait status
