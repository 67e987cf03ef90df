"""Output that `subprocess` and `asyncio` read: the host's paths, which programs print, become the sandbox's.

Only in text. Data with a NUL byte stays as it is: it may hold its own lengths.
"""

from __future__ import annotations

import io
import select

from .. import calls

TYPE_CHECKING = False  # as in `typing`
if TYPE_CHECKING:
    from typing import Any

_PATIENCE = 0.02  # seconds: how long the possible beginning of a path waits for the rest

__tracebackhide__ = True  # read by pytest


def dress_subprocess(module: Any) -> dict[str, Any]:
    view = type(io)("io", io.__doc__)
    view.__dict__.update(io.__dict__)
    view.__dict__["open"] = _open
    module.io = view  # it opens its pipes with `io.open`
    popen = module.Popen
    communicate = popen.communicate

    def communicate_shown(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return tuple(map(_shown, communicate(self, *args, **kwargs)))
        except module.TimeoutExpired as error:
            error.output, error.stderr = _shown(error.output), _shown(error.stderr)
            raise

    communicate_shown.__name__, communicate_shown.__qualname__ = (
        communicate.__name__,
        communicate.__qualname__,
    )
    communicate_shown.__doc__ = communicate.__doc__
    popen.communicate = communicate_shown
    return {}


def dress_asyncio(module: Any) -> dict[str, Any]:
    kind = module.BaseSubprocessTransport
    receive, lose = kind._pipe_data_received, kind._pipe_connection_lost
    # By transport and descriptor: the data, and a timer.
    waiting: dict[tuple[int, int], tuple[bytes, Any]] = {}

    def flush(self: Any, fd: int) -> bytes:
        data, timer = waiting.pop((id(self), fd), (b"", None))
        if timer:
            timer.cancel()
        return data

    def receive_waiting(self: Any, fd: int) -> None:
        if data := flush(self, fd):
            receive(self, fd, _shown(data))

    def receive_shown(self: Any, fd: int, data: bytes) -> None:
        data, rest = _split(flush(self, fd) + data, calls.current().prefix.encode())
        if rest:
            waiting[id(self), fd] = (rest, self._loop.call_later(_PATIENCE, receive_waiting, self, fd))
        if data:
            receive(self, fd, _shown(data))

    def lose_shown(self: Any, fd: int, exc: Any) -> None:
        receive_waiting(self, fd)
        lose(self, fd, exc)

    kind._pipe_data_received = receive_shown
    kind._pipe_connection_lost = lose_shown
    return {}


def _shown(text: Any) -> Any:
    if isinstance(text, str):
        return calls.current().shown(text)
    return calls.current().shown_bytes(text) if isinstance(text, bytes) else text


def _open(file: int, mode: Any, buffering: int = -1) -> Any:
    if mode != "rb":
        return calls.original.open(file, mode, buffering)
    pipe = Pipe(file)
    if buffering == 0:
        return pipe
    return io.BufferedReader(pipe, buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE)


class Pipe(calls.file_class):
    """The reading end of a pipe."""

    def __init__(self, file: int) -> None:
        super().__init__(file, "rb")
        self._kept = b""  # the possible beginning of a path that continues in the next read

    def read(self, size: int | None = -1, /) -> bytes | None:  # type: ignore[override]
        if size is None or size < 0:
            return self.readall()
        root = calls.current().prefix.encode()
        if size <= 2 * len(root):  # looking ahead would mean waiting
            data: bytes | None = super().read(size) if not self._kept else self._take(size)
            return data
        begun, self._kept = self._kept, b""
        while True:
            data = super().read(size - len(begun))
            if data is None:
                self._kept = begun
                return None
            begun += data
            whole, rest = _split(begun, root)
            is_full = len(begun) == size
            if not rest or not data or not (is_full or self._goes_on()):
                return calls.current().shown_bytes(begun)
            if whole:
                self._kept = rest
                return calls.current().shown_bytes(whole)

    def _goes_on(self) -> bool:
        """Whether there is more to read, or the end, in a moment: a program writes its lines as wholes."""
        poll = select.poll()
        poll.register(self, select.POLLIN)
        return bool(poll.poll(_PATIENCE * 1000))

    def readinto(self, buffer: Any, /) -> int | None:
        data = self.read(len(buffer))
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        data, self._kept = self._kept + (super().readall() or b""), b""
        return calls.current().shown_bytes(data)

    def _take(self, size: int) -> bytes:
        data, self._kept = self._kept[:size], self._kept[size:]
        return data


def _split(data: bytes, root: bytes) -> tuple[bytes, bytes]:
    """Splits off the end of `data` if it may be the beginning of `root`, with a whole `root` before it.

    That one's path goes on with the slash after it.
    """
    at = data.find(root[:1], max(0, len(data) - len(root)))
    while at >= 0:
        if root.startswith(data[at:]):
            if data.endswith(root, 0, at):
                at -= len(root)
            return data[:at], data[at:]
        at = data.find(root[:1], at + 1)
    return data, b""


Pipe.__name__ = Pipe.__qualname__ = "FileIO"
Pipe.__module__ = calls.file_class.__module__
