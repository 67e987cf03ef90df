"""Watches what a program does through the SDK of its process: no request carries who has sent it, and from where."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from types import FrameType, ModuleType
from typing import Any

_THE_WATCHERS = {"podflare_emulator", "pytest_podflare", "contextlib", "functools"}

Note = Callable[..., None]
"""Called with the instance, what the method has returned, and the method's arguments."""


def sandbox_classes(sdk: ModuleType | None) -> tuple[type[Any], ...]:
    """The blocking one and the async one, of an SDK that has it."""
    names = ("Sandbox", "AsyncSandbox")
    return tuple(getattr(sdk, name) for name in names if sdk and hasattr(sdk, name))


def blocking_classes(sdk: ModuleType | None) -> tuple[type[Any], ...]:
    """Those whose calls block, of an SDK."""
    return tuple(getattr(sdk, name) for name in ("Sandbox", "Client") if sdk and hasattr(sdk, name))


@contextlib.contextmanager
def watched(sandbox: type[Any], notes: dict[str, Note]) -> Iterator[None]:
    """Inside, these methods of the SDK's class, of those that it has, tell each its note what they have done."""
    methods = {name: getattr(sandbox, name) for name in notes if hasattr(sandbox, name)}
    for name, method in methods.items():
        setattr(sandbox, name, _telling(method, notes[name]))
    try:
        yield
    finally:
        for name, method in methods.items():
            setattr(sandbox, name, method)


def caller(*passed_over: str) -> FrameType | None:
    """The frame, outside of these packages, that has called the watched method."""
    frame: FrameType | None = sys._getframe()
    while frame and _package(frame) in _THE_WATCHERS.union(passed_over):
        frame = frame.f_back
    return frame


def _telling(method: Callable[..., Any], note: Note) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def telling_later(self: Any, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            result = await method(self, *args, **kwargs)
            note(self, result, *args, **kwargs)
            return result

        return telling_later

    @functools.wraps(method)
    def telling(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = (
            True  # neither a failing test's traceback nor a warning of the SDK's is to show it
        )
        result = method(self, *args, **kwargs)
        note(self, result, *args, **kwargs)
        return result

    return telling


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
