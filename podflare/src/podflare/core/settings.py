"""The settings of a connection: from arguments, from the environment, or by default."""

from __future__ import annotations

import functools
import os
import ssl
from typing import Any

import httpx

from podflare.errors import InvalidArgumentError

_DEFAULT_HOST = "http://127.0.0.1:7070"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def named_host(host: str | None) -> str | None:
    """The URL of the server that is given, or else that the environment names; None if neither does."""
    return _setting(host, "PODFLARE_HOST", "PODFLARE_HOSTD_URL")


def chosen_host(host: str | None) -> str:
    """The URL of the server: the given one, else the environment's, else the local one's."""
    chosen = named_host(host)
    chosen = _DEFAULT_HOST if chosen is None else chosen
    if not isinstance(chosen, str):
        raise InvalidArgumentError(f"host must be a string like {_DEFAULT_HOST!r}, not {chosen!r}")
    try:
        url = httpx.URL(chosen)
    except httpx.InvalidURL as error:
        raise InvalidArgumentError(f"host {chosen!r} is not a URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidArgumentError(f"host must be a URL like {_DEFAULT_HOST} or https://host, not {chosen!r}")
    return chosen.rstrip("/")


def headers(api_key: str | None, traceparent: str | None) -> dict[str, str]:
    """What is sent with every request."""
    sent = {}
    if key := _for_header("api_key", _setting(api_key, "PODFLARE_API_KEY")):
        sent["Authorization"] = f"Bearer {key}"
    if trace := _for_header("traceparent", _setting(traceparent, "PODFLARE_TRACEPARENT")):
        sent["traceparent"] = trace
    return sent


def _for_header(name: str, value: str | None) -> str | None:
    """What a header can hold. What it is instead is not shown: it may be a key."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{name} must be a string, not of type {type(value).__name__}")
    if not (value.isascii() and value.isprintable()):
        raise InvalidArgumentError(f"{name} must be of ASCII characters on one line")
    return value


def http_settings(host: str, keep_alive: float) -> dict[str, Any]:
    """The arguments of httpx's client, of either kind."""
    if not isinstance(keep_alive, (int, float)):
        raise InvalidArgumentError(
            f"keep_alive must be a number of seconds, or 0 to keep none, not {keep_alive!r}"
        )
    url = httpx.URL(host)
    return {
        "base_url": url,
        # One connection per running exec, however many there are.
        "limits": httpx.Limits(
            max_connections=None,
            max_keepalive_connections=100 if keep_alive > 0 else 0,
            keepalive_expiry=keep_alive,
        ),
        "verify": True if url.scheme == "https" else _no_certificates(),
        # A proxy of the environment cannot reach the loopback interface of this machine.
        "trust_env": url.host not in _LOOPBACK,
    }


@functools.cache
def _no_certificates() -> ssl.SSLContext:
    """For http, which needs none: loading them takes longer than creating a sandbox does, even making this does."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _setting(explicit: str | None, *names: str) -> str | None:
    # A secret read from a file often ends in a newline, which a header cannot hold.
    if explicit is not None:
        return explicit.strip() if isinstance(explicit, str) else explicit
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)
