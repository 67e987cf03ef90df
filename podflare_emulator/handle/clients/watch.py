"""Watches a program's calls of the SDK in its process, as requests do not say which code has sent them."""

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
"""Called with the instance, the method's result, and the method's arguments."""


def sandbox_classes(sdk: ModuleType | None) -> tuple[type[Any], ...]:
    """An SDK's blocking sandbox class, and the async one if it has any."""
    names = ("Sandbox", "AsyncSandbox")
    return tuple(getattr(sdk, name) for name in names if sdk and hasattr(sdk, name))


def blocking_classes(sdk: ModuleType | None) -> tuple[type[Any], ...]:
    """An SDK's classes with blocking calls."""
    return tuple(getattr(sdk, name) for name in ("Sandbox", "Client") if sdk and hasattr(sdk, name))


@contextlib.contextmanager
def watched(sandbox: type[Any], notes: dict[str, Note]) -> Iterator[None]:
    """Inside, each of these methods that the SDK's class has calls its note with its result."""
    methods = {name: getattr(sandbox, name) for name in notes if hasattr(sandbox, name)}
    for name, method in methods.items():
        setattr(sandbox, name, _telling(method, notes[name]))
    try:
        yield
    finally:
        for name, method in methods.items():
            setattr(sandbox, name, method)


def caller(*passed_over: str) -> FrameType | None:
    """The frame outside these packages that has called the watched method."""
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
        __tracebackhide__ = True  # hides it from tracebacks of failing tests and from warnings of the SDK
        result = method(self, *args, **kwargs)
        note(self, result, *args, **kwargs)
        return result

    return telling


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
