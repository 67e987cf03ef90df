"""Messages between the host and its processes: JSON and file descriptors over a Unix stream socket.

Both ends use this file. A frame is a header (length of the body in bytes, number of descriptors) and the body, a JSON
object in ASCII. Descriptors travel as SCM_RIGHTS with the frame's first bytes and arrive close-on-exec.
"""

from __future__ import annotations

import array
import json
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import Any

Message = dict[str, Any]

_HEADER = struct.Struct("!IB")
_MOST_DESCRIPTORS = 250  # the kernel's SCM_MAX_FD is 253
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_CHUNK = 1 << 16
# Created once: `json.dumps` would create an encoder for each message.
_to_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_from_json = json.JSONDecoder().decode


def encode(message: Message, descriptors: Sequence[int] = ()) -> bytes:
    if len(descriptors) > _MOST_DESCRIPTORS:
        raise ValueError(f"{len(descriptors)} descriptors in one message; at most {_MOST_DESCRIPTORS} travel")
    body = _to_json(message).encode("ascii")
    return _HEADER.pack(len(body), len(descriptors)) + body


def ancillary(descriptors: Sequence[int]) -> list[tuple[int, int, array.array[int]]]:
    if not descriptors:
        return []
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]


class Decoder:
    """Assembles frames from the bytes that arrive."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._descriptors: deque[int] = deque()

    def receive_from(self, sock: socket.socket) -> bool:
        """Reads what has arrived; False at the end of the stream."""
        data, extra, _, _ = sock.recvmsg(_CHUNK, socket.CMSG_SPACE(_MOST_DESCRIPTORS * 4), _CLOSE_ON_EXEC)
        for level, kind, content in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
                if not _CLOSE_ON_EXEC:  # macOS: they arrive inheritable
                    for number in numbers:
                        os.set_inheritable(number, False)
                self._descriptors.extend(numbers)
        self._bytes += data
        return bool(data)

    @property
    def has_some(self) -> bool:
        """Whether bytes have arrived that no message was made of."""
        return bool(self._bytes)

    def next(self) -> tuple[Message, list[int]] | None:
        """The next complete message and its descriptors, if one has arrived."""
        if len(self._bytes) < _HEADER.size:
            return None
        length, count = _HEADER.unpack_from(self._bytes)
        end = _HEADER.size + length
        if len(self._bytes) < end:
            return None
        message: Message = _from_json(self._bytes[_HEADER.size : end].decode("ascii"))
        del self._bytes[:end]
        # These are fewer than were sent if this process has reached its limit of open files.
        return message, [self._descriptors.popleft() for _ in range(min(count, len(self._descriptors)))]


class Connection:
    """The blocking end, for a process that does one thing at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._decoder = Decoder()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        frame = memoryview(encode(message, descriptors))
        sent = self._socket.sendmsg([frame], ancillary(descriptors))
        while sent < len(frame):
            sent += self._socket.send(frame[sent:])

    def receive(self) -> tuple[Message, list[int]] | None:
        """Waits for a message; None if the other end is gone."""
        while (arrived := self._decoder.next()) is None:
            try:
                if not self._decoder.receive_from(self._socket):
                    return None
            except ConnectionError:
                return None
        return arrived

    def is_silent(self, seconds: float) -> bool:
        """Whether nothing arrives within this time. Returns at once if something does."""
        if self._decoder.has_some:
            return False
        listening = select.poll()
        listening.register(self._socket, select.POLLIN)
        return not listening.poll(seconds * 1000)

    def waiting(self) -> tuple[Message, list[int]] | None:
        """A message that has been read from the socket but not returned yet; `select` does not report it."""
        return self._decoder.next()

    def close(self) -> None:
        self._socket.close()
