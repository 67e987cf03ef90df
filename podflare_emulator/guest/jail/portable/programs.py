"""Arguments and environments with the host's paths, for programs that are started in a portable sandbox."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .paths import PathMap
from .shell import shell_command
from .words import SHELLS, Command, Role

REWRITTEN = "PODFLARE_PORTABLE_REWRITTEN"  # set if bash's script has been through `shell_command` already
BASH_START = "BASH_ENV"
_TEMPORARY = "/tmp"  # programs such as gcc and mktemp use it by themselves

_HERE = os.path.dirname(os.path.abspath(__file__))
_MOST_INTERPRETERS = 4  # as many as the kernel follows
_LONGEST_LINE = 256
_OPTION = re.compile(r"([A-Za-z_-][\w-]*=)(/.*)", re.DOTALL)


def child_variables(path_map: PathMap, jail: str = _HERE) -> dict[str, str]:
    """The variables by which Pythons and bashes in the sandbox find their mapping. `jail` is this directory."""
    return {**path_map.variables(), BASH_START: f"{jail}/bash_start.sh"}


def arguments(words: Iterable[Any], path_map: PathMap) -> list[Any]:
    """A program's mapped arguments, each of the type that it had.

    An absolute path is mapped if its first directory exists in the sandbox: otherwise `/foo` may be anything.
    """
    command = Command()
    return [_argument(word, command, path_map) for word in words]


def _argument(word: Any, command: Command, path_map: PathMap) -> Any:
    if isinstance(word, os.PathLike):
        word = os.fspath(word)
    if isinstance(word, bytes):
        return os.fsencode(_argument(os.fsdecode(word), command, path_map))
    if not isinstance(word, str):
        return word
    is_program = not command.name
    role = command.take(word)
    if role is Role.SCRIPT:
        return shell_command(word, path_map)
    if role in (Role.TEXT, Role.SAID):
        return word
    option = _OPTION.fullmatch(word)
    name, path = option.groups() if option else ("", word)
    if path[:1] != "/" or path.startswith("//"):
        return word
    if path == "/":
        return path_map.real(word) if command.takes_root else word
    return name + path_map.real(path) if is_program or _is_known(path, path_map) else word


def _is_known(path: str, path_map: PathMap) -> bool:
    top: str = path_map.real("/" + path.split("/", 2)[1])
    return os.path.lexists(top)


def interpreter(
    places: Sequence[Any], words: list[Any], path_map: PathMap
) -> tuple[Sequence[Any], list[Any]]:
    """The program and the arguments that the kernel would run if it had the sandbox as its root.

    Args:
        places: where the program may be, on the host; the first that exists counts.
        words: its arguments, mapped.

    If the program is a script whose first line names an interpreter in the sandbox, that interpreter is run.
    """
    for _ in range(_MOST_INTERPRETERS):
        place = next(filter(os.path.isfile, map(os.fsdecode, places)), "")
        if not place.startswith(f"{path_map.prefix}/") or not os.access(place, os.X_OK):
            break
        with open(place, "rb") as file:
            mark, line = file.read(2), file.readline(_LONGEST_LINE)
        named, *option = os.fsdecode(line).strip().split(None, 1)[:2] or [""]
        real = path_map.real(named)
        if mark != b"#!" or real == named or named[:1] != "/":
            break
        places, words = [os.fsencode(real)], [real, *option, place, *words[1:]]
    return places, words


def environment(variables: Mapping[Any, Any], path_map: PathMap, words: Sequence[Any]) -> dict[bytes, bytes]:
    """`variables` with the host's paths, and with the variables that pass the mapping on to the program's children.

    Args:
        words: the program's arguments, before or after mapping: they show whether it is a bash with a mapped script.
    """
    mapped = {
        os.fsencode(name): os.fsencode(_value(os.fsdecode(value), path_map))
        for name, value in variables.items()
    }
    added = child_variables(path_map)
    if path_map.prefix:
        mapped.setdefault(b"TMPDIR", os.fsencode(path_map.real(_TEMPORARY)))
    if words and os.path.basename(os.fsdecode(words[0])) in SHELLS and _has_script(words):
        added[REWRITTEN] = "1"
    return {**mapped, **{os.fsencode(name): os.fsencode(value) for name, value in added.items()}}


def _has_script(words: Sequence[Any]) -> bool:
    command = Command()
    return any(command.take(os.fsdecode(word)) is Role.SCRIPT for word in words)


def _value(value: str, path_map: PathMap) -> str:
    """Maps the value of a variable such as HOME, PATH or PYTHONPATH."""
    if "/" not in value or "://" in value:
        return value
    return ":".join(
        path_map.real(path) if path[:1] == "/" and path != "/" and _is_known(path, path_map) else path
        for path in value.split(":")
    )
