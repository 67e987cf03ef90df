"""Sandboxes' private networks: the host's handle on the router, and relays to the test's own servers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Iterable

from podflare_emulator.guest.protocol import Message
from podflare_emulator.guest.system.peers import Address
from podflare_emulator.hosting.channel import Channel
from podflare_emulator.hosting.errors import HostingError

_CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a RST, as if the connection were refused


class Router:
    """Makes networks. `private` waits for its report of whether sandboxes with egress have one too."""

    def __init__(self, sock: socket.socket) -> None:
        self._settled: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.channel = Channel(sock, self._received, self._closed)

    async def private(self) -> bool:
        return await asyncio.shield(self._settled) == "private"

    async def network(self, *, way_out: bool) -> Network:
        """Makes a network; raises HostingError if that fails."""
        answer, (namespace,) = await self.channel.request({"op": "network", "open": way_out})
        return Network(self.channel, answer["network"], namespace)

    def _received(self, message: Message, descriptors: list[int]) -> None:
        for number in descriptors:
            os.close(number)
        if "network" not in message:
            return
        if "id" in message:  # nobody waits for it now
            self.channel.send({"op": "release", "network": message["network"], "left": True})
        elif not self._settled.done():
            self._settled.set_result(message["network"])

    def _closed(self) -> None:
        if not self._settled.done():
            self._settled.set_exception(HostingError("the router ended before it was ready"))
            self._settled.exception()  # marks it as retrieved: perhaps nobody awaits it


class Network:
    """One sandbox's network. Its owner must release it in the end."""

    def __init__(self, router: Channel, number: int, namespace: int) -> None:
        self._router = router
        self._number = number
        self._namespace = namespace
        self._servers: list[asyncio.Server] = []

    def give_entrance(self) -> tuple[int, ...]:
        """The descriptor to send to the process that enters."""
        namespace, self._namespace = self._namespace, -1
        return (namespace,) if namespace >= 0 else ()

    async def let_in(self, addresses: Iterable[Address]) -> None:
        """Makes servers on this machine reachable inside at the same addresses; raises HostingError."""
        for host, port in addresses:
            message = {"op": "listen", "network": self._number, "host": host, "port": port}
            _, (listener,) = await self._router.request(message)
            relay = _Relay((host, port))
            self._servers.append(await asyncio.start_server(relay.serve, sock=socket.socket(fileno=listener)))

    def release(self, *, left: bool) -> None:
        """`left`: everything in it has ended."""
        for server in self._servers:
            server.close()
        for number in self.give_entrance():
            os.close(number)
        with contextlib.suppress(HostingError):
            self._router.send({"op": "release", "network": self._number, "left": left})


class _Relay:
    """Relays connections made inside to the same address on this machine."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._address)
        except OSError:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
            return
        try:
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        except OSError:  # one end is gone: close the other too
            for end in (writer, there_writer):
                end.transport.abort()
        finally:
            for end in (writer, there_writer):
                end.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
