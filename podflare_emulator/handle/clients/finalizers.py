"""Finalizers that use a sandbox: the garbage collector may call them anywhere.

In the server's own thread, a call to the server would wait for itself. In the middle of another call in the same thread
it would wait for a lock that this call holds, as sandboxes share a client, and a client has one lock.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import FrameType
from typing import Any

from podflare_emulator.vocabulary.errors import EmulatorError

_ENDS = {"close", "destroy_sandbox"}

_SDK, _HERE = "podflare", __name__.rpartition(".")[0]

_calling = threading.local()
"""`depth`: the number of nested calls in progress in this thread."""


@contextlib.contextmanager
def waiting_for_nobody(kinds: tuple[type[Any], ...], in_servers_thread: Callable[[], bool]) -> Iterator[None]:
    """Inside, calls of these classes of an SDK never wait for their own thread.

    Such a call runs in another thread if it ends a sandbox. Others raise an EmulatorError in the server's thread.
    """
    with ExitStack() as undo:
        for kind in kinds:
            for name, method in _methods(kind).items():
                wrap = _ending if name in _ENDS else _calling_on
                setattr(kind, name, wrap(method, in_servers_thread))
                undo.callback(setattr, kind, name, method)
        yield


def _methods(kind: type[Any]) -> dict[str, Any]:
    """The blocking methods: a finalizer cannot await the others."""
    return {
        name: member
        for name, member in vars(kind).items()
        if not name.startswith("_") and inspect.isfunction(member) and not inspect.iscoroutinefunction(member)
    }


def _ending(method: Any, in_servers_thread: Callable[[], bool]) -> Any:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        nested = getattr(_calling, "depth", 0) > 0 and not _is_a_step(sys._getframe(1))
        if nested or in_servers_thread():
            threading.Thread(target=elsewhere, args=args, kwargs=kwargs, daemon=True).start()
            return None
        return here(*args, **kwargs)

    def elsewhere(*args: Any, **kwargs: Any) -> None:
        with contextlib.suppress(Exception):  # nobody is left to report it to
            here(*args, **kwargs)

    here = _counted(method)
    return call


def _is_a_step(frame: FrameType | None) -> bool:
    """Whether this call is a step of the one in progress, as a sandbox's `close` calls its client; else a finalizer's.

    Then only the SDK's own code is between the two: a failing `fork`, for one, closes the children. Where one redirect
    is within another, the outer one's wrapper calls the inner one's: that is a step too.
    """
    while frame and (
        _module(frame).partition(".")[0] in (_SDK, "contextlib") or _module(frame).startswith(_HERE)
    ):
        if frame.f_code is _COUNTED:
            return True
        if frame.f_code.co_name == "__del__":
            return False
        frame = frame.f_back
    return False


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _calling_on(method: Any, in_servers_thread: Callable[[], bool]) -> Any:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True  # hides it from tests' tracebacks and from warnings of the SDK
        if in_servers_thread():
            raise EmulatorError(
                f"{method.__qualname__} is called in the server's own thread, which would wait for itself: an object "
                "of the program is collected there, and its finalizer calls the server. A finalizer may close "
                "sandboxes; for more, run the server in its own process: Emulator(server='process')"
            )
        return here(*args, **kwargs)

    here = _counted(method)
    return call


def _counted(method: Any) -> Any:
    @functools.wraps(method)
    def counted(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        _calling.depth = getattr(_calling, "depth", 0) + 1
        try:
            return method(*args, **kwargs)
        finally:
            _calling.depth -= 1

    return counted


_COUNTED = _counted(len).__code__
