"""Tracebacks without the frames between a call and Python's original function, and with the sandbox's paths."""

from __future__ import annotations

import os
import sys

from .. import calls

TYPE_CHECKING = False  # as in `typing`
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType
    from typing import Any

_ROOM = os.path.dirname(os.path.abspath(calls.__file__)) + os.sep
_WALKS = ("walk_tb", "_walk_tb_with_full_positions")


def dress(module: Any) -> dict[str, Any]:
    """Adapts the functions with which `traceback` walks through all tracebacks that it formats."""
    for name in _WALKS:
        if hasattr(module, name):
            setattr(module, name, _without_own(getattr(module, name)))
    return {}


def _without_own(walk: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
    def walk_users(tb: Any) -> Iterator[Any]:
        if tb is None or _is_own(tb.tb_frame):  # a caller goes frame by frame, and asks for this one
            return walk(tb)
        return (step for step in walk(tb) if not _is_own(step[0]))

    _name_as(walk, walk_users)
    return walk_users


def _name_as(native: Any, own: Any) -> None:
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(own, name, getattr(native, name))


def dress_threading(module: Any) -> dict[str, Any]:
    native = module.excepthook

    def excepthook(args: Any, /) -> None:
        _strip(args.exc_value)
        native(args)

    _name_as(native, excepthook)
    module.excepthook = module.__excepthook__ = excepthook
    return {}


def show_childs() -> None:
    """In a Python that a sandbox has started: adapts the errors that Python itself prints."""
    sys.excepthook = _excepthook
    sys.unraisablehook = _unraisablehook


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not isinstance(error, BaseException):
        sys.__excepthook__(kind, error, trace)  # which says so
        return
    _strip(error)
    if isinstance(error, SyntaxError):  # it may come from a program that C has opened through the host's path
        for name in ("msg", "filename"):
            if isinstance(getattr(error, name), str):
                setattr(error, name, calls.current().shown(getattr(error, name)))
    sys.__excepthook__(kind, error, trace)
    if issubclass(kind, KeyboardInterrupt):
        _end_by_signal()


def _unraisablehook(unraisable: Any, /) -> None:
    _strip(unraisable.exc_value)
    sys.__unraisablehook__(unraisable)


def _strip(error: BaseException | None) -> None:
    """Removes the frames of the mapping from its traceback, and from the tracebacks of its causes and contexts."""
    waiting, seen = [error], set()
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        trace = error.__traceback__
        while trace is not None:
            while trace.tb_next is not None and _is_own(trace.tb_next.tb_frame):
                trace.tb_next = trace.tb_next.tb_next
            trace = trace.tb_next
        waiting += (error.__cause__, error.__context__, *getattr(error, "exceptions", ()))


def _is_own(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_ROOM)


def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not isinstance(error, BaseException):
        sys.__excepthook__(kind, error, trace)  # which says so
        return
    import traceback  # only when it is needed; before 3.13 the built-in hook finds source only in files

    traceback.print_exception(kind, error, trace)


def _end_by_signal() -> None:
    """Makes Python end as after any KeyboardInterrupt: sets its flag for that, which every `exec` of text clears."""
    try:
        exec("raise KeyboardInterrupt")
    except KeyboardInterrupt:
        return
