"""The host's end of a connection: never blocks the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence

from podflare_emulator.guest.protocol import Decoder, Message, ancillary, encode
from podflare_emulator.hosting.errors import HostingError

OnMessage = Callable[[Message, list[int]], None]


class Channel:
    """Sends and receives messages on the running loop.

    `on_message` is called for each message that does not answer a `request`, or one that nobody waits for now;
    `on_close` once, when the other end is gone. Descriptors passed to `send` are closed here once the kernel has taken
    them.
    """

    def __init__(self, sock: socket.socket, on_message: OnMessage, on_close: Callable[[], None]) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._number = sock.fileno()  # the loop looks it up faster than a socket
        self._on_message = on_message
        self._on_close = on_close
        self._decoder = Decoder()
        self._outgoing: deque[tuple[memoryview, Sequence[int]]] = deque()
        self._requests: dict[int, asyncio.Future[tuple[Message, list[int]]]] = {}
        self._numbered = 0
        self._loop = asyncio.get_running_loop()
        self._waits_to_write = False
        self.closed = False
        # A request may have caused this, but what runs here is not part of it: its log lines must not carry its trace.
        contextvars.Context().run(self._loop.add_reader, self._number, self._readable)

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Raises HostingError when the other end is gone."""
        if self.closed:
            _close_all(descriptors)
            raise HostingError("the process has ended")
        self._outgoing.append((memoryview(encode(message, descriptors)), descriptors))
        if len(self._outgoing) == 1:
            self._writable()

    async def request(self, message: Message, descriptors: Sequence[int] = ()) -> tuple[Message, list[int]]:
        """Sends, and waits for the answer with the same `id`; raises HostingError if the answer is an `error`."""
        self._numbered += 1
        number = self._numbered
        answer: asyncio.Future[tuple[Message, list[int]]] = self._loop.create_future()
        self._requests[number] = answer
        try:
            self.send({**message, "id": number}, descriptors)
            body, received = await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and not answer.exception():
                self._on_message(*answer.result())
            raise
        finally:
            self._requests.pop(number, None)
        if "error" in body:
            raise HostingError(body["error"])
        return body, received

    def close(self) -> None:
        """Closes the connection; the process at the other end notices and exits."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._number)
        self._stop_waiting()
        self._socket.close()
        for _, descriptors in self._outgoing:
            _close_all(descriptors)
        self._outgoing.clear()
        for request in self._requests.values():
            if not request.done():
                request.set_exception(HostingError("the process has ended"))
        self._on_close()

    def _readable(self) -> None:
        try:
            alive = self._decoder.receive_from(self._socket)
        except BlockingIOError:
            return
        except OSError:
            alive = False
        while not self.closed and (arrived := self._decoder.next()) is not None:
            message, descriptors = arrived
            request = self._requests.get(message.get("id", 0))
            if request is None or request.done():
                self._on_message(message, descriptors)
            else:
                request.set_result((message, descriptors))
        if not alive:
            self.close()

    def _writable(self) -> None:
        try:
            while self._outgoing:
                frame, descriptors = self._outgoing[0]
                if descriptors:
                    sent = self._socket.sendmsg([frame], ancillary(descriptors))
                    _close_all(descriptors)
                else:
                    sent = self._socket.send(frame)
                if sent < len(frame):
                    self._outgoing[0] = (frame[sent:], ())
                else:
                    self._outgoing.popleft()
        except BlockingIOError:
            if not self._waits_to_write:
                self._waits_to_write = True
                self._loop.add_writer(self._number, self._writable)
            return
        except OSError:
            self._loop.call_soon(self.close)
            return
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._waits_to_write:
            self._waits_to_write = False
            self._loop.remove_writer(self._number)


def _close_all(descriptors: Sequence[int]) -> None:
    for number in descriptors:
        os.close(number)
