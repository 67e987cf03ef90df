"""The server's connections and its listener, as far as a test may disturb them."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from podflare_emulator.vocabulary.clock import Clock, Timer
from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import Scope

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for zero seconds
_WAITING = 1024  # the listener's backlog


class Connections:
    """Connections to `listener`, the first one of the server `serving`; other listeners are left alone."""

    serving: uvicorn.Server

    def __init__(self, listener: socket.socket, clock: Clock) -> None:
        self._clock = clock
        self._listener = listener
        self._refuses = False
        self._opening: Timer | None = None

    def reset(self, request: Scope) -> None:
        """Resets the request's connection: the client gets an RST, `Connection reset by peer`."""
        for connection in self._bearing(request):
            _reset(connection)

    def close(self, request: Scope) -> None:
        """Closes the request's connection once everything written so far has been sent."""
        for connection in self._bearing(request):
            connection.transport.close()

    async def refuse(self, seconds: float | None) -> None:
        """Refuses connections for `seconds`, or until `accept`; existing ones have been reset when this returns.

        The server keeps its port: the socket stays bound to it, but does not listen.
        """
        if sys.platform != "linux":
            raise InvalidRequest(
                "refusing connections needs Linux, where a socket that no longer listens keeps its port; "
                "elsewhere use fault('any', connection='reset', times=None)"
            )
        if self._refuses:
            raise InvalidRequest("connections are refused already")
        port = self._listener.getsockname()[1]
        inside = [one for one in self._connections() if _end(one, "sockname")[1:] == (port,)]
        leaving = {one for one in inside if not _asks_the_emulator(one)}
        if seconds is None and len(leaving) < len(inside):
            raise InvalidRequest(
                "seconds: for how long? A caller on this port could not end the refusal itself"
            )
        self._refuses = True
        self.serving.servers[0].close()
        self._listener.shutdown(socket.SHUT_RDWR)
        # While the socket does not listen, SO_REUSEADDR would let another process that also sets it take the port.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        if seconds is not None:
            self._opening = self._clock.call_at(self._clock.time() + seconds, self.accept)
        for connection in leaving:
            _reset(connection)
        while leaving & self.serving.server_state.connections:
            await asyncio.sleep(0)

    async def accept(self) -> None:
        """Ends a refusal, if there is one."""
        if not self._refuses:
            return
        self._refuses = False
        if self._opening:
            self._opening.cancel()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.listen(_WAITING)
        others = self.serving.servers[1:]
        await self.serving.startup(sockets=[self._listener.dup()])
        self.serving.servers += others

    def end(self) -> None:
        """The server is ending."""
        if self._opening:
            self._opening.cancel()
        self._listener.close()

    def _bearing(self, request: Scope) -> Iterator[Any]:
        for connection in self._connections():
            ends = _end(connection, "peername"), _end(connection, "sockname")
            if ends == (request["client"], request["server"]):
                yield connection

    def _connections(self) -> list[Any]:
        connections: list[Any] = [*self.serving.server_state.connections]
        return [one for one in connections if not one.transport.is_closing()]


def _end(connection: Any, which: Literal["peername", "sockname"]) -> tuple[str, int] | tuple[()]:
    address = connection.transport.get_extra_info(which)
    return (str(address[0]), int(address[1])) if address else ()


def _reset(connection: Any) -> None:
    # A duplicate, as the sockets that asyncio and uvloop expose need not allow setting options.
    with socket.socket(fileno=os.dup(connection.transport.get_extra_info("socket").fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    connection.transport.abort()


def _asks_the_emulator(connection: Any) -> bool:
    """Whether it carries a call of the control API: the caller of `refuse` must get its answer."""
    cycle = getattr(connection, "cycle", None)
    return bool(cycle and not cycle.response_complete and cycle.scope["path"].startswith("/_emulator/"))
