"""Routes of this process's `podflare` clients: to an emulator past mocks of httpx, elsewhere if allowed.

Mocks replace methods of httpx's and httpcore's classes. A client of the package `podflare`, ours or the vendor's, gets
subclasses that keep the original methods, and uses them for the emulators' addresses alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from podflare_emulator.handle.clients.watch import caller
from podflare_emulator.vocabulary.settings import is_loopback

if TYPE_CHECKING:
    import httpx

_emulators: set[tuple[str, int]] = set()  # of this process, by host and port


def pass_mocks(url: str) -> None:
    """From now on, requests of `podflare` clients to this emulator are not mocked away."""
    parts = urlsplit(url)
    _emulators.add((parts.hostname or "", parts.port or 0))


def forget(url: str) -> None:
    parts = urlsplit(url)
    _emulators.discard((parts.hostname or "", parts.port or 0))


class Gate:
    """While it is there, every httpx client that the package `podflare` makes asks it for the way.

    Args:
        lets: Called with a host that is neither an emulator's nor this machine: whether clients may connect there.
            It raises what they are to get if not.
    """

    def __init__(self, lets: Callable[[str], None]) -> None:
        self._lets = lets
        self._patched: list[tuple[type[Any], Any, Any]] = []

    def open(self) -> None:
        """To be called before `podflare` is imported, and before anything mocks httpx."""
        try:
            import httpx
        except ImportError:  # then no client of Podflare's can be there either
            return
        _kinds()
        for kind in (httpx.Client, httpx.AsyncClient):
            before = kind.__init__
            ours = self._guarding(before, kind._transport_for_url)
            kind.__init__ = ours  # type: ignore[method-assign]
            self._patched.append((kind, ours, before))

    def close(self) -> None:
        while self._patched:
            kind, ours, before = self._patched.pop()
            if kind.__init__ is ours:
                kind.__init__ = before

    def _guarding(self, create: Any, way: Any) -> Any:
        def checked_way(client: Any, url: Any) -> Any:
            if not (is_loopback(url.host) or _is_emulators(url)):
                self._lets(url.host)
            return way(client, url)

        guarded: dict[type[Any], type[Any]] = {}  # by the class that it is made of

        @wraps(create)
        def creating(client: Any, *args: Any, **kwargs: Any) -> None:
            create(client, *args, **kwargs)
            if _of_podflare():
                _pass_mocks_to_emulators(client._transport)
                # A separate class: mocks replace the method in httpx's, and a finalizer may have lost an instance's.
                kind = type(client)
                if kind not in guarded:
                    guarded[kind] = type(kind.__name__, (kind,), {"_transport_for_url": checked_way})
                client.__class__ = guarded[kind]

        return creating


def _of_podflare() -> bool:
    """Whether who makes a client of httpx is of that package."""
    frame = caller("httpx")
    return frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "podflare"


def _is_emulators(url: Any) -> bool:
    """Of a URL or an origin, httpx's or httpcore's."""
    host = url.host.decode() if isinstance(url.host, bytes) else url.host
    return (host, url.port) in _emulators


def _pass_mocks_to_emulators(transport: Any) -> None:
    import httpcore
    import httpx

    kinds = _kinds()
    if type(transport) is httpx.HTTPTransport and type(transport._pool) is httpcore.ConnectionPool:
        transport.__class__, transport._pool.__class__ = kinds[:2]


_made: list[tuple[type[Any], type[Any], type[Any]]] = []


def _kinds() -> tuple[type[Any], type[Any], type[Any]]:
    """Of transport, pool and connection, with the methods that these have when the first is asked for."""
    if _made:
        return _made[0]
    import httpcore
    import httpx

    to_transport = httpx.HTTPTransport.handle_request
    to_pool = httpcore.ConnectionPool.handle_request
    to_connection = httpcore.HTTPConnection.handle_request

    class Transport(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if _is_emulators(request.url):
                return to_transport(self, request)
            return super().handle_request(request)

    class Pool(httpcore.ConnectionPool):
        def handle_request(self, request: httpcore.Request) -> httpcore.Response:
            if _is_emulators(request.url):
                return to_pool(self, request)
            return super().handle_request(request)

        def create_connection(self, origin: Any) -> Any:
            connection: Any = super().create_connection(origin)
            if type(connection) is httpcore.HTTPConnection and _is_emulators(origin):
                connection.__class__ = Connection
            return connection

    class Connection(httpcore.HTTPConnection):
        def handle_request(self, request: httpcore.Request) -> httpcore.Response:
            return to_connection(self, request)

    _made.append((Transport, Pool, Connection))
    return _made[0]
