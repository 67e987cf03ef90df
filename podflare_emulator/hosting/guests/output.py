"""A guest's two pipes: the sandbox's output, read as it arrives."""

from __future__ import annotations

import array
import asyncio
import contextvars
import errno
import fcntl
import os
import termios
from collections.abc import Callable
from typing import Literal

Stream = Literal["stdout", "stderr"]
Sink = Callable[[Stream, bytes], None]
_PIECE = 1 << 18


class Output:
    """Calls `sink("stdout" | "stderr", data)` for each piece of output, until `close`."""

    def __init__(self, out: int, err: int, sink: Sink) -> None:
        self._pipes: dict[Stream, int] = {"stdout": out, "stderr": err}
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        for number in self._pipes.values():
            os.set_blocking(number, False)
        self.resume()

    def pause(self) -> None:
        """Stops reading: a sandbox that prints faster than the client reads then blocks, as on any pipe."""
        for number in self._pipes.values():
            self._loop.remove_reader(number)

    def resume(self) -> None:
        for name, number in self._pipes.items():
            # Output must not carry the trace of a request.
            contextvars.Context().run(self._loop.add_reader, number, self._read, name, number)

    def drain(self) -> None:
        """Reads only what is in the pipes now: it waits neither for end of file nor for silence."""
        waiting = array.array("i", [0])
        for name, number in self._pipes.items():
            fcntl.ioctl(number, termios.FIONREAD, waiting)
            left = waiting[0]
            while left > 0 and (data := self._take(number, min(left, _PIECE))):
                left -= len(data)
                self._sink(name, data)

    def close(self) -> None:
        self.pause()
        for number in self._pipes.values():
            os.close(number)
        self._pipes = {}

    def _read(self, name: Stream, number: int) -> None:
        data = self._take(number, _PIECE)
        if data:
            self._sink(name, data)
        elif data is not None:
            self._loop.remove_reader(number)  # every writer is gone

    @staticmethod
    def _take(number: int, most: int) -> bytes | None:
        """None when there is nothing at the moment, b"" at the end."""
        try:
            return os.read(number, most)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.EIO:
                return b""
            raise
