"""The HTTP side: one method per call of the API, the settings of the connection, and the errors."""

import functools
import json
import os
import ssl
from collections.abc import Generator, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal

import httpx

from podflare.errors import connection_error, status_error
from podflare.types import Event, Forked, Language

_DEFAULT_HOST = "http://127.0.0.1:7070"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Client:
    """A connection pool to one server, for any number of sandboxes and threads.

    Args:
        host: URL of the server. Default: `PODFLARE_HOST`, else `PODFLARE_HOSTD_URL`, else
            `http://127.0.0.1:7070`.
        api_key: Sent as a bearer token. Default: `PODFLARE_API_KEY`, else none is sent.
        traceparent: W3C trace context, sent with every request. Default: `PODFLARE_TRACEPARENT`, else none.
        timeout: Seconds to wait for a connection, and for each answer; None for no limit. An exec has only
            the first: it takes as long as its code.

    Raises:
        ValueError: If the host is not an http or https URL.

    The methods other than `close` are the calls of the API as they are; `Sandbox` is made of them. They raise
    `APIStatusError` if the server refuses, and `APIConnectionError` if there is no complete answer.
    """

    def __init__(
        self,
        host: str | None = None,
        api_key: str | None = None,
        traceparent: str | None = None,
        timeout: float | None = 30.0,
    ) -> None:
        setting = _setting(host, "PODFLARE_HOST", "PODFLARE_HOSTD_URL")
        self.host = _checked_host(_DEFAULT_HOST if setting is None else setting)
        headers = {}
        if key := _setting(api_key, "PODFLARE_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        if trace := _setting(traceparent, "PODFLARE_TRACEPARENT"):
            headers["traceparent"] = trace
        url = httpx.URL(self.host)
        self._timeout = httpx.Timeout(timeout, pool=None)
        self._exec_timeout = httpx.Timeout(timeout, pool=None, read=None)
        self._http = httpx.Client(
            base_url=url,
            headers=headers,
            # One connection per running exec, however many there are. Idle ones go before the 5 seconds after
            # which uvicorn, and others, close them: a request sent at that moment would be lost.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=4.0),
            verify=True if url.scheme == "https" else _no_certificates(),
            # A proxy of the environment cannot reach the loopback interface of this machine.
            trust_env=url.host not in _LOOPBACK,
        )

    def close(self) -> None:
        """Close the connections. The sandboxes live on."""
        self._http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def create(self, settings: Mapping[str, object]) -> str:
        """Create a sandbox and return its id.

        Args:
            settings: The body as the API takes it: `template`, `timeout_seconds`, …
        """
        response = self._call("POST", "/v1/sandboxes", settings)
        return str(_field(response, "id"))

    def execute(self, sandbox_id: str, code: str, language: Language) -> Generator[Event, None, None]:
        """Run code and yield its events as they arrive, the last being `exit`.

        Closing the generator early breaks the request off.
        """
        body = {"code": code, "language": language}
        path = f"/v1/sandboxes/{sandbox_id}/exec"
        return self._events(self._request("POST", path, body, self._exec_timeout), ends_with_exit=True)

    def replay(self, sandbox_id: str) -> Generator[Event, None, None]:
        """Yield the recent events of a sandbox, up to 1000."""
        request = self._request("GET", f"/v1/sandboxes/{sandbox_id}/replay", None, self._timeout)
        return self._events(request, ends_with_exit=False)

    def fork(self, sandbox_id: str, n: int) -> Forked:
        """Fork a sandbox."""
        response = self._call("POST", f"/v1/sandboxes/{sandbox_id}/fork", {"n": n})
        told = response.headers
        return Forked(
            [str(child) for child in _field(response, "children")],
            threads_left_behind=int(told.get("podflare-threads-left-behind", 0)),
            processes_left_behind=int(told.get("podflare-processes-left-behind", 0)),
            replay_differences=told.get("podflare-replay-differences", ""),
        )

    def merge_into(self, parent_id: str, winner_id: str) -> None:
        """Make the winner's state the parent's. The winner's id is gone afterwards."""
        self._call("POST", f"/v1/sandboxes/{parent_id}/merge_into/{winner_id}")

    def destroy(self, sandbox_id: str) -> None:
        """Destroy a sandbox."""
        self._call("DELETE", f"/v1/sandboxes/{sandbox_id}")

    def _request(
        self, method: str, path: str, body: Mapping[str, object] | None, timeout: httpx.Timeout
    ) -> httpx.Request:
        # Not httpx's json=: it writes UTF-8, which lone surrogates (file names that are no UTF-8) cannot be.
        if body is None:
            return self._http.build_request(method, path, timeout=timeout)
        headers = {"Content-Type": "application/json"}
        content = json.dumps(body).encode()
        return self._http.build_request(method, path, content=content, headers=headers, timeout=timeout)

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> httpx.Response:
        request = self._request(method, path, body, self._timeout)
        try:
            response = self._http.send(request)
        except httpx.RequestError as error:
            # The message and the class say what the cause says; its chain is pages of httpx and httpcore.
            raise connection_error(error, request) from None
        if not response.is_success:
            raise status_error(response)
        return response

    def _events(self, request: httpx.Request, *, ends_with_exit: bool) -> Generator[Event, None, None]:
        try:
            response = self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    response.read()
                    raise status_error(response)
                exited = False
                for line in _lines(response.iter_bytes()):
                    if event := _event(line, request):
                        exited = event.type == "exit"
                        yield event
                if ends_with_exit and not exited:
                    raise httpx.RemoteProtocolError("the stream ended without an exit event", request=request)
            finally:
                response.close()
        except httpx.RequestError as error:
            raise connection_error(error, request) from None


@functools.cache
def _no_certificates() -> ssl.SSLContext:
    """For http, which needs none: loading them takes longer than creating a sandbox does, even making this does."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _setting(explicit: str | None, *names: str) -> str | None:
    if explicit is not None:
        return explicit
    # A secret read from a file often ends in a newline, which a header cannot hold.
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)


def _checked_host(host: str) -> str:
    try:
        url = httpx.URL(host)
    except httpx.InvalidURL as error:
        raise ValueError(f"host {host!r} is not a URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"host must be a URL like {_DEFAULT_HOST} or https://host, not {host!r}")
    return host.rstrip("/")


def _field(response: httpx.Response, name: Literal["id", "children"]) -> Any:
    try:
        return response.json()[name]
    except (ValueError, KeyError, TypeError) as error:
        cause = httpx.DecodingError(f"the answer has no {name!r}; is this a Podflare server?")
        raise connection_error(cause, response.request) from error


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    # httpx's iter_lines also splits at U+2028 and others, which may stand in the middle of an event.
    # The pieces of a long line are joined once: a download is one line of megabytes.
    pieces: list[bytes] = []
    for chunk in chunks:
        head, *rest = chunk.split(b"\n")
        pieces.append(head)
        for piece in rest:
            yield b"".join(pieces)
            pieces = [piece]
    yield b"".join(pieces)


def _event(line: bytes, request: httpx.Request) -> Event | None:
    """The event of a line, or None for an empty line or a type that this version does not know."""
    if not line:
        return None
    try:
        fields = json.loads(line)
        if fields["type"] not in ("stdout", "stderr", "exit"):
            return None
        return Event(type=fields["type"], data=fields["data"], seq=fields["seq"], ts=fields["ts"])
    except (ValueError, KeyError, TypeError) as error:
        message = f"the stream holds a line that is no event: {line[:200]!r}"
        raise httpx.DecodingError(message, request=request) from error
