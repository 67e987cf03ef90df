"""Control calls to a server in another process, over sockets that a test's patches do not affect.

Every name it uses is bound at import, and the sockets are those of `_socket`, below the module `socket`.
"""

from __future__ import annotations

from _socket import AF_INET, AF_INET6, IPPROTO_TCP, MSG_PEEK, SOCK_STREAM, TCP_NODELAY, socket
from json import JSONDecoder, JSONEncoder
from os import getpid
from typing import Any

from podflare_emulator.handle.server.patchers import green_socket
from podflare_emulator.handle.server.started import CALL, UNBOUNDED
from podflare_emulator.vocabulary.errors import EmulatorError

_encode = JSONEncoder().encode
_decode = JSONDecoder().decode

_PIECE = 1 << 16  # bytes


class Channel:
    """One connection for each call in progress; connections are reused."""

    def __init__(self, host: str, port: int, api_key: str | None) -> None:
        self._family = AF_INET6 if ":" in host else AF_INET
        self._address = (host, port)
        key = f"Authorization: Bearer {api_key}\r\n" if api_key else ""
        named = f"[{host}]" if ":" in host else host
        self._fields = f"Host: {named}:{port}\r\nContent-Type: application/json\r\n{key}"
        self._idle: list[socket] = []
        self._owner = getpid()

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """Makes a call, and returns its result.

        Raises EmulatorError if it is refused, TimeoutError if there is no answer in time, and OSError if there is none.
        """
        body = _encode(arguments).encode()
        head = f"POST /_emulator/{name} HTTP/1.1\r\n{self._fields}Content-Length: {len(body)}\r\n\r\n"
        connection = self._connection()
        try:
            connection.settimeout(None if name in UNBOUNDED else CALL)
            connection.sendall(head.encode() + body)
            status, answer = _response(connection)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        result = _decode(answer)
        if status != 200:
            raise EmulatorError(result["error"])
        return result["result"]

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _connection(self) -> socket:
        if self._owner != getpid():  # a forked child must not read answers meant for the parent
            self._owner, self._idle = getpid(), []
        while self._idle:
            connection = self._idle.pop()
            if is_open(connection):
                return connection
            connection.close()
        connection = (green_socket() or socket)(self._family, SOCK_STREAM)
        try:
            connection.settimeout(CALL)
            connection.connect(self._address)
            connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        except BaseException:
            connection.close()
            raise
        return connection


def is_open(connection: socket) -> bool:
    """Whether the other end is open, and no unread data has arrived."""
    connection.settimeout(0)
    try:
        connection.recv(1, MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _response(connection: socket) -> tuple[int, str]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += piece(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    status, *fields = head.split(b"\r\n")
    length = next(
        int(value)
        for name, _, value in (field.partition(b":") for field in fields)
        if name.lower() == b"content-length"
    )
    pieces, missing = [body], length - len(body)
    while missing > 0:
        pieces.append(piece(connection))
        missing -= len(pieces[-1])
    return int(status.split()[1]), b"".join(pieces).decode()


def piece(connection: socket) -> bytes:
    """The data that has arrived; raises ConnectionResetError at the end of the stream."""
    piece = connection.recv(_PIECE)
    if not piece:
        raise ConnectionResetError("the connection was closed")
    return piece
