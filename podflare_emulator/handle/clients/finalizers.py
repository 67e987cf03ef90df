"""Sandboxes that are closed by a finalizer: the garbage collector calls it in whatever thread it pleases."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def closing_elsewhere(sandbox: type[Any], in_servers_thread: Callable[[], bool]) -> Iterator[None]:
    """Inside, instances of this SDK's class that are closed in the server's thread are closed in another.

    The server could not answer while its thread waits for the answer.
    """
    close = sandbox.close

    @functools.wraps(close)
    def closing(self: Any, *args: Any, **kwargs: Any) -> Any:
        if in_servers_thread():
            threading.Thread(target=close, args=(self, *args), kwargs=kwargs, daemon=True).start()
            return None
        return close(self, *args, **kwargs)

    sandbox.close = closing
    try:
        yield
    finally:
        sandbox.close = close
