# Generated from aio/transport/events.py by generate_sync.py: edit that file.
"""The events of a running exec."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from types import TracebackType

from podflare.core.interruption import Interruption
from podflare.errors import PodflareError
from podflare.types import Event


class EventStream(Iterator[Event]):
    """Iterates over the events of an exec as they arrive: lines of output, then one `exit`.

    The code starts when the first event is asked for. `close`, or the end of a block of `with`, interrupts it;
    any thread or task may do so, also while another waits for the next event: that one gets `ExecTimeoutError`.
    """

    def __init__(self, events: Generator[Event, None, None], interruption: Interruption) -> None:
        self._events = events
        self._interruption = interruption
        self._closed = False
        self._waiting = False
        # Held for a moment only, never while anything waits. A handler of a signal may close the stream.
        self._lock = threading.RLock()

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> Event:
        with self._lock:
            if self._closed:
                raise StopIteration
            if self._waiting:
                raise PodflareError(
                    "another thread or task waits for the next event of this stream; read it in one"
                )
            self._waiting = True
        try:
            return self._events.__next__()
        finally:
            with self._lock:
                self._waiting = False
                closed = self._closed
            if closed:
                self._events.close()

    def close(self) -> None:
        """Interrupt the code, if it runs. Closing again does nothing."""
        with self._lock:
            self._closed = True
            waiting = self._waiting
        self._interruption.stop("the code was interrupted: its stream was closed")
        if not waiting:
            self._events.close()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()
