"""The host's end of a terminal: its program's output and exit, typed input, its size."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import fcntl
import os
import struct
import termios
from collections import deque
from collections.abc import Callable

from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.init import Init

_PIECE = 1 << 16


class Terminal:
    """`descriptor` is our end of the terminal, and `pid` leads its session; this object owns both.

    `sink` gets the output as it arrives; `on_exit` is called once, after the last of it, with the exit code, or minus
    the signal, or None if it is unknown.
    """

    def __init__(
        self,
        descriptor: int,
        pid: int,
        init: Init,
        sink: Callable[[bytes], None],
        on_exit: Callable[[int | None], None],
    ) -> None:
        self._descriptor = descriptor
        self._pid = pid
        self._init = init
        self._sink = sink
        self._on_exit = on_exit
        self._typed: deque[memoryview] = deque()
        self._loop = asyncio.get_running_loop()
        os.set_blocking(descriptor, False)
        nobody = contextvars.Context()  # output must not carry the trace of a request
        nobody.run(self._loop.add_reader, descriptor, self._read)
        self._waiting = nobody.run(self._loop.create_task, self._wait())

    @property
    def ended(self) -> bool:
        return self._descriptor < 0

    def write(self, data: bytes) -> None:
        """Types `data`; does nothing once the program has ended."""
        if data and not self.ended:
            self._typed.append(memoryview(data))
            if len(self._typed) == 1:
                self._write()

    def resize(self, cols: int, rows: int) -> None:
        """Sets the size; the program gets SIGWINCH."""
        if not self.ended:
            fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    async def kill(self) -> None:
        """SIGKILL for the program's process group, and for the one in the foreground."""
        terminal = () if self.ended else (os.dup(self._descriptor),)
        with contextlib.suppress(HostingError):  # its init is gone, and the processes with it
            await self._init.end_terminal(self._pid, terminal)

    def _read(self) -> None:
        if not self._take():
            self._loop.remove_reader(self._descriptor)

    def _take(self) -> bool:
        """Reads once; returns whether more may come."""
        try:
            data = os.read(self._descriptor, _PIECE)
        except BlockingIOError:
            return True
        except OSError:  # EIO: no process has the terminal open
            return False
        self._sink(data)
        return bool(data)

    def _write(self) -> None:
        try:
            while self._typed:
                written = os.write(self._descriptor, self._typed[0])
                self._typed[0] = self._typed[0][written:]
                if not self._typed[0]:
                    self._typed.popleft()
        except BlockingIOError:
            self._loop.add_writer(self._descriptor, self._write)
            return
        except OSError:
            self._typed.clear()
        self._loop.remove_writer(self._descriptor)

    async def _wait(self) -> None:
        code = await self._init.ended(self._pid)
        self._drain()
        for stop in (self._loop.remove_reader, self._loop.remove_writer):
            stop(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        self._on_exit(code)

    def _drain(self) -> None:
        """Reads at most 16 pieces: a process in the background may print for ever."""
        for _ in range(16):
            try:
                data = os.read(self._descriptor, _PIECE)
            except OSError:
                return
            if not data:
                return
            self._sink(data)
