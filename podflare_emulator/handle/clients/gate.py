"""Routes of the `podflare` clients in this process: to an emulator past mocks of httpx, elsewhere only if allowed.

Mocks replace methods of httpx's and httpcore's classes. A client of the package `podflare`, ours or the vendor's, gets
subclasses that keep the original methods, and uses them only for emulators' addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from podflare_emulator.handle.clients.watch import caller
from podflare_emulator.vocabulary.settings import is_loopback

_emulators: set[tuple[str, int]] = set()  # in this process, by host and port


def pass_mocks(url: str) -> None:
    """From now on, mocks do not affect requests of `podflare` clients to this emulator."""
    parts = urlsplit(url)
    _emulators.add((parts.hostname or "", parts.port or 0))


def forget(url: str) -> None:
    parts = urlsplit(url)
    _emulators.discard((parts.hostname or "", parts.port or 0))


class Gate:
    """While it is open, it routes every httpx client that the package `podflare` makes.

    Args:
        lets: Called with a host that is neither an emulator's nor this machine. It raises the error that clients
            get if they may not connect there.
    """

    def __init__(self, lets: Callable[[str], None]) -> None:
        self._lets = lets
        self._patched: list[tuple[type[Any], Any, Any]] = []

    def open(self) -> None:
        """Call it before `podflare` is imported, and before anything mocks httpx."""
        try:
            import httpx
        except ImportError:  # then there can be no Podflare client either
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
    """Whether the code that creates an httpx client belongs to that package."""
    frame = caller("httpx")
    return frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "podflare"


def _is_emulators(url: Any) -> bool:
    """Whether a URL or an origin, httpx's or httpcore's, is an emulator's."""
    host = url.host.decode() if isinstance(url.host, bytes) else url.host
    return (host, url.port) in _emulators


def _pass_mocks_to_emulators(transport: Any) -> None:
    for kinds in _kinds():
        before, ours = kinds[0]
        if type(transport) is before and type(transport._pool) is kinds[1][0]:
            transport.__class__, transport._pool.__class__ = ours, kinds[1][1]


_Kinds = list[tuple[type[Any], type[Any]]]
_made: list[_Kinds] = []


def _kinds() -> list[_Kinds]:
    """Of transport and pool, for calls that block and for asynchronous ones: the library's class, and ours of it.

    Ours has the methods that the library's has when the first is asked for.
    """
    if not _made:
        import httpcore
        import httpx

        blocking = httpx.HTTPTransport, httpcore.ConnectionPool, httpcore.HTTPConnection
        waiting = httpx.AsyncHTTPTransport, httpcore.AsyncConnectionPool, httpcore.AsyncHTTPConnection
        _made.append(_kinds_of("handle_request", *blocking))
        _made.append(_kinds_of("handle_async_request", *waiting))
    return _made


def _kinds_of(method: str, transport: type[Any], pool: type[Any], connection: type[Any]) -> _Kinds:
    to_connection = _passing(connection, method)

    class Pool(_passing(pool, method)):  # type: ignore[misc]
        def create_connection(self, origin: Any) -> Any:
            created: Any = super().create_connection(origin)
            if type(created) is connection and _is_emulators(origin):
                created.__class__ = to_connection
            return created

    return [(transport, _passing(transport, method)), (pool, Pool)]


def _passing(kind: type[Any], method: str) -> type[Any]:
    """A subclass that sends requests to an emulator as `kind` does now, whatever replaces its method later."""
    own = getattr(kind, method)

    def passing(self: Any, request: Any) -> Any:
        if _is_emulators(request.url):
            return own(self, request)
        return getattr(super(made, self), method)(request)

    made = type(kind.__name__, (kind,), {method: passing})
    return made
