"""Refuses web pages, and callers without a key: a client that gets in can run code."""

import hmac
from functools import lru_cache

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from podflare_emulator.vocabulary.settings import Settings, is_loopback


class Guard:
    """Stands in front of every route and sends no CORS header, so a browser's preflight gets no permission.

    Raises:
        HTTPException: 403 for a foreign `Host` (DNS rebinding), `Origin` or cross-site request (a web page);
            401 on `/v1/*` but healthz, and on the control API, for anything but
            `Authorization: Bearer <one of the keys>`, when there are keys, with a different message if there is no
            such header (contract: "a 401 has two texts"); 415 for a body that is not declared as JSON (the kind
            that a page can send without a preflight).
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._keys = [] if settings.auth_disabled else [key.encode() for key in settings.api_keys]
        self._allow_hosts = frozenset(_canonical(name) for name in settings.allow_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._check(scope)
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        host_seen = is_json = has_body = False
        credentials: bytes | None = None
        for name, value in scope["headers"]:
            if name == b"host":
                host_seen = True
                self._check_host(value)
            elif name == b"origin":
                _check_origin(value)
            elif name == b"sec-fetch-site":
                _check_fetch_site(value.decode("latin-1"))
            elif name == b"content-type":
                is_json = value.partition(b";")[0].strip().lower() == b"application/json"
            elif name == b"content-length":
                has_body = has_body or value != b"0"
            elif name == b"transfer-encoding":
                has_body = True
            elif name == b"authorization":
                credentials = value
        if not host_seen:
            raise HTTPException(
                403, "the request has no Host header; send one that names the emulator, such as localhost"
            )
        if self._keys and needs_key(scope["path"]):
            self._check_key(credentials)
        if has_body and not is_json:
            raise HTTPException(
                415, "the body is not declared as JSON; send it with Content-Type: application/json"
            )

    def _check_host(self, host: bytes) -> None:
        if _is_this_machine(host):
            return
        name = host_name(host.decode("latin-1"))
        if _canonical(name) not in self._allow_hosts:
            raise HTTPException(
                403,
                f"Host {host.decode('latin-1')!r} is not a loopback name; use localhost or 127.0.0.1, "
                f"or start the emulator with --allow-host {name or 'NAME'}",
            )

    def _check_key(self, credentials: bytes | None) -> None:
        if credentials is None:
            raise _unauthorized("missing Authorization: Bearer <key>")
        scheme, _, key = credentials.partition(b" ")
        key = key.strip()
        # Every key is compared, each in constant time: the timing of the answer reveals nothing about them.
        matches = [hmac.compare_digest(key, known) for known in self._keys]
        if scheme.lower() != b"bearer" or not any(matches):
            raise _unauthorized("invalid api key")


def _unauthorized(message: str) -> HTTPException:
    return HTTPException(401, message, headers={"WWW-Authenticate": "Bearer"})


def needs_key(path: str) -> bool:
    return path.startswith(("/v1/", "/_emulator/", "/mcp")) and path.rstrip("/") != "/v1/healthz"


def host_name(authority: str) -> str:
    """`name[:port]` without its port and an IPv6 address's brackets; empty if it is malformed."""
    if authority.startswith("["):
        name, bracket, port = authority[1:].partition("]")
        well_formed = bracket and (not port or port[0] == ":")
        port = port[1:]
    else:
        name, _, port = authority.partition(":")
        well_formed = True
    return name if well_formed and (not port or (port.isascii() and port.isdigit())) else ""


def _canonical(name: str) -> str:
    return name.lower().removesuffix(".")


@lru_cache(maxsize=64)  # nearly every request of a run carries the same one
def _is_this_machine(authority: bytes) -> bool:
    return is_loopback(host_name(authority.decode("latin-1")))


def _check_origin(origin: bytes) -> None:
    # A page without an origin (a sandboxed frame, a local file) sends "null".
    _, separator, authority = origin.partition(b"://")
    if not separator or not _is_this_machine(authority):
        raise HTTPException(
            403,
            f"Origin {origin.decode('latin-1')!r} is a page of another site; call the emulator from a program",
        )


def _check_fetch_site(site: str) -> None:
    if site.strip().lower() in ("cross-site", "same-site"):
        raise HTTPException(
            403,
            f"Sec-Fetch-Site {site!r} comes from a web page; call the emulator from a program",
        )
