"""Objects that use a sandbox when they are collected: the garbage collector calls them wherever it pleases.

In the server's own thread a call to the server would wait for itself. In the middle of another call of the same thread
it would wait for a lock that this call holds: sandboxes share a client, and a client has one lock.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from podflare_emulator.vocabulary.errors import EmulatorError

_ENDS = {"close", "destroy_sandbox"}

_calling = threading.local()
"""`depth`: how many calls are going on in this thread, one made by the other."""


@contextlib.contextmanager
def waiting_for_nobody(kinds: tuple[type[Any], ...], in_servers_thread: Callable[[], bool]) -> Iterator[None]:
    """Inside, a call of these classes of an SDK's that would wait for its own thread does not.

    One that ends a sandbox is made in another thread. Others raise an EmulatorError at once, in the server's thread.
    """
    with ExitStack() as undo:
        for kind in kinds:
            for name, method in _methods(kind).items():
                wrap = _ending if name in _ENDS else _calling_on
                setattr(kind, name, wrap(method, in_servers_thread))
                undo.callback(setattr, kind, name, method)
        yield


def _methods(kind: type[Any]) -> dict[str, Any]:
    """Those that block: no finalizer can await the others."""
    return {
        name: member
        for name, member in vars(kind).items()
        if not name.startswith("_") and inspect.isfunction(member) and not inspect.iscoroutinefunction(member)
    }


def _ending(method: Any, in_servers_thread: Callable[[], bool]) -> Any:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        # Not counted itself: that a sandbox's `close` calls its client is no reason to hurry elsewhere.
        if in_servers_thread() or getattr(_calling, "depth", 0) > 0:
            threading.Thread(target=elsewhere, args=args, kwargs=kwargs, daemon=True).start()
            return None
        return method(*args, **kwargs)

    def elsewhere(*args: Any, **kwargs: Any) -> None:
        with contextlib.suppress(Exception):  # nobody is left to report it to
            method(*args, **kwargs)

    return call


def _calling_on(method: Any, in_servers_thread: Callable[[], bool]) -> Any:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True  # neither a test's traceback nor a warning of the SDK's is to show it
        if in_servers_thread():
            raise EmulatorError(
                f"{method.__qualname__} is called in the server's own thread, which would wait for itself: an object "
                "of the program's is collected there, and its finalizer calls the server. A finalizer may close "
                "sandboxes; for more, run the server in its own process: Emulator(server='process')"
            )
        _calling.depth = getattr(_calling, "depth", 0) + 1
        try:
            return method(*args, **kwargs)
        finally:
            _calling.depth -= 1

    return call
