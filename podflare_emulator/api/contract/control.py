"""The control API's calls, derived from the functions that serve them: their arguments, types and docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, get_type_hints

import msgspec

from podflare_emulator.domain.testing.faults import read_fault, read_latency

# The functions that read the arguments of calls that pass them on unchanged.
_READERS: dict[str, Callable[..., Any]] = {"add_fault": read_fault, "add_latency": read_latency}

ControlCall = Callable[..., Coroutine[Any, Any, Any]]


def calls(control: object) -> dict[str, ControlCall]:
    """The calls of `Control`, or of an instance of it, by name."""
    return {
        name: call
        for name, call in inspect.getmembers(control, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }


def shapes(calls: Mapping[str, ControlCall]) -> dict[str, tuple[type[msgspec.Struct], type[msgspec.Struct]]]:
    """The body and the answer of each call."""
    return {name: (_body(name, call), _answer(name, call)) for name, call in calls.items()}


def _body(name: str, call: ControlCall) -> type[msgspec.Struct]:
    reads: Callable[..., Any] = _READERS.get(name, call)
    hints = get_type_hints(reads)
    fields: list[Any] = []
    for parameter in inspect.signature(reads).parameters.values():
        if parameter.name != "self":
            default = () if parameter.default is parameter.empty else (parameter.default,)
            fields.append((parameter.name, hints[parameter.name], *default))
    return msgspec.defstruct(
        f"{_camel(name)}Arguments",
        sorted(fields, key=len),  # those without a default first
        kw_only=True,
        forbid_unknown_fields=True,
        module=__name__,
    )


def _answer(name: str, call: ControlCall) -> type[msgspec.Struct]:
    result = get_type_hints(call).get("return", Any)
    return msgspec.defstruct(f"{_camel(name)}Result", [("result", result)], module=__name__)


def _camel(name: str) -> str:
    return "".join(word.title() for word in name.split("_"))
