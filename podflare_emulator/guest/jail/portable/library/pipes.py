"""Output that `subprocess` and `asyncio` read: the host's paths, which programs print, become the sandbox's.

Only in text. Data with a NUL byte stays as it is: it may hold its own lengths.
"""

from __future__ import annotations

import io

from .. import calls

TYPE_CHECKING = False  # as in `typing`
if TYPE_CHECKING:
    from typing import Any

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
    receive = kind._pipe_data_received

    def receive_shown(self: Any, fd: int, data: bytes) -> None:
        receive(self, fd, _shown(data))

    kind._pipe_data_received = receive_shown
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
        data = super().read(size - len(self._kept))
        if data is None:
            return None
        is_full = len(data) == size - len(self._kept)
        data, self._kept = self._kept + data, b""
        if is_full:
            data, self._kept = _split(data, root)
        return calls.current().shown_bytes(data)

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
    at = data.find(root[:1], len(data) - len(root))
    while at >= 0:
        if root.startswith(data[at:]):
            if data.endswith(root, 0, at):
                at -= len(root)
            return data[:at], data[at:]
        at = data.find(root[:1], at + 1)
    return data, b""


Pipe.__name__ = Pipe.__qualname__ = "FileIO"
Pipe.__module__ = calls.file_class.__module__
