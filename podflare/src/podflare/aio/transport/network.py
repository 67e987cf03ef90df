"""The connections of a client, as far as a running exec must know its own: to break it, and to wait for it in time."""

from __future__ import annotations

from collections.abc import Iterable
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

from podflare.core.interruption import Interruption, sending

# sync only: from podflare.core.nested import PoolLock
from podflare.core.sockets import is_readable


def watch_connections(http: httpx.AsyncClient) -> None:
    """Let execs that this client sends know their connections."""
    # httpx takes no network backend of its user's, though httpcore does. A mount of None is a host without a proxy.
    for transport in (http._transport, *http._mounts.values()):
        if isinstance(transport, httpx.AsyncHTTPTransport):
            pool = transport._pool
            pool._network_backend = _AsyncBackend(pool._network_backend)
            # sync only: if hasattr(pool, "_optional_thread_lock"):
            # sync only:     pool._optional_thread_lock = PoolLock()  # type: ignore[assignment]


class _AsyncBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        timeout = _limited(sending.get(), timeout, httpcore.ConnectTimeout)
        return _AsyncStream(
            await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        )

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class _AsyncStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._socket = stream.get_extra_info("socket")
        self._exec: Interruption | None = None
        self._answered = False

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._answered:
            self._answered = False
            self._reuse()
        # A request begins: the connection is this exec's, or no exec's.
        self._exec = sending.get()
        if self._exec:
            self._exec.take(self._socket)
        await self._stream.write(buffer, _limited(self._exec, timeout, httpcore.WriteTimeout))

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(max_bytes, _limited(self._exec, timeout, httpcore.ReadTimeout))
        # Not a word of a proxy's own protocol: another attempt would end like this one.
        self._answered = self._answered or data.startswith(b"HTTP/")
        return data

    def _reuse(self) -> None:
        """Before a request over a connection that has carried one: makes the pool take another if it is broken.

        The pool has looked, but the end of an exec's answer gives it a connection at any moment: one that was broken
        to stop that exec, when its end had arrived already, or that is broken now. Or the server closes it now.
        Nothing has been sent yet, so that nothing is done twice.
        """
        if self._exec:
            self._exec.let_go(self._socket)
        if self._socket is not None and is_readable(self._socket):
            raise httpcore.ConnectionNotAvailable

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        timeout = _limited(sending.get(), timeout, httpcore.ConnectTimeout)
        return _AsyncStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        # For each request the pool asks this of every connection that it has: the streams' own answers, a tenth of a
        # millisecond each, add up to what an event loop is held for.
        if info == "is_readable" and self._socket is not None:
            return is_readable(self._socket)
        return self._stream.get_extra_info(info)


def _limited(
    of_exec: Interruption | None, timeout: float | None, over: type[httpcore.TimeoutException]
) -> float | None:
    if of_exec is None:
        return timeout
    left = of_exec.limited(timeout)
    if left is not None and left <= 0:
        raise over("the time of the exec is over")
    return left
