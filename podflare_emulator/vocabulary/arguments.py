"""Checks arguments from outside, in JSON or in a dict, against a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest

MOST_SECONDS = 100 * 366 * 86_400  # a hundred years; later times do not fit into a date

_NAMES = {bool: "true or false", int: "a whole number", str: "a string", list: "a list"}


def signature_mismatch(function: Callable[..., Any], *given: Any, **named: Any) -> str | None:
    """Why the function cannot be called with these arguments, and which it takes; None if it can."""
    signature = inspect.signature(function)
    try:
        signature.bind(*given, **named)
    except TypeError as error:
        names = [name for name in signature.parameters if name != "self"]
        return f"{error}; there are {', '.join(names)}" if names else str(error)
    return None


def is_seconds(value: object) -> bool:
    """Whether it is a number from 0 to MOST_SECONDS."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MOST_SECONDS


def check_kind(kind: type, *, optional: bool = False, **given: Any) -> None:
    """Raises InvalidRequest, with its name, for an argument of another type; `optional` allows None."""
    for name, value in given.items():
        if type(value) is not kind and not (optional and value is None):
            raise InvalidRequest(f"{name}: expected {_NAMES[kind]}, got {value!r:.100}")


def check_texts(**given: Any) -> None:
    """Raises InvalidRequest, with its name, for an argument that is not a collection of strings."""
    for name, value in given.items():
        if isinstance(value, (str, bytes)) or not isinstance(value, Collection):
            raise InvalidRequest(f"{name}: expected a list of strings, got {value!r:.100}")
        for one in value:
            check_kind(str, **{name: one})
