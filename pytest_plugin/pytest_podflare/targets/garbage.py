"""Python's garbage collector while the plugin imports."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage() -> Iterator[None]:
    """Imports make hardly any, but bring about a search through all that pytest and the tests have loaded: 20 ms."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # else it would thaw what somebody has frozen
            # What was made has grown old: the next search, which is for young garbage, need not look through it.
            gc.freeze()
            gc.unfreeze()
        gc.enable()
