# Generated from aio/client.py by generate_sync.py: edit that file.
"""The HTTP side: one method per call of the API, and the errors."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from types import TracebackType
from typing import Any, TypeVar

import httpx

from podflare.core import settings, wire
from podflare.core.interruption import Interruption, sending
from podflare.core.nested import NestedCall, send_beside
from podflare.core.seconds import limit
from podflare.errors import ClientClosedError, connection_error, status_error
from podflare.transport.events import EventStream
from podflare.transport.network import watch_connections
from podflare.types import Event, Forked, Language, PtyMessage

T = TypeVar("T")


class Client:
    """A connection pool to one server, for any number of sandboxes, threads or tasks.

    Args:
        host: URL of the server. Default: `PODFLARE_HOST`, else `PODFLARE_HOSTD_URL`, else
            `http://127.0.0.1:7070`.
        timeout: Seconds to wait for a connection, and for each answer; None for no limit. An exec has only
            the first: it takes as long as its code.
        traceparent: W3C trace context, sent with every request. Default: `PODFLARE_TRACEPARENT`, else none.
        api_key: Sent as a bearer token. Default: `PODFLARE_API_KEY`, else none is sent.
        keep_alive: Seconds for which an unused connection is kept. Servers close theirs, after 5 seconds often, and a
            request sent at that moment would be lost. With 0 none is kept: a client that several event loops use,
            one after the other, needs that.

    Raises:
        InvalidArgumentError: If the host is not an http or https URL, or another argument is not what it says here. It
            is a `ValueError`.

    The methods other than `close` are the calls of the API as they are; `Sandbox` is made of them. They raise
    `APIStatusError` if the server refuses, `APIConnectionError` if there is no complete answer, and
    `ClientClosedError` after `close`.

    A forked process has its own connections: it does not use those of its parent.
    """

    def __init__(
        self,
        host: str | None = None,
        timeout: float | None = 30.0,
        traceparent: str | None = None,
        api_key: str | None = None,
        *,
        keep_alive: float = 4.0,
    ) -> None:
        self.host = settings.chosen_host(host)
        self.traceparent = traceparent
        self.timeout = timeout
        seconds = limit("timeout", timeout)
        self._timeout = httpx.Timeout(seconds, pool=None)
        self._exec_timeout = httpx.Timeout(seconds, pool=None, read=None)
        self._http_settings = {
            "headers": settings.headers(api_key, traceparent),
            **settings.http_settings(self.host, keep_alive),
        }
        self._http = self._connections()
        self._process = os.getpid()

    def _connections(self) -> httpx.Client:
        http = httpx.Client(**self._http_settings)
        watch_connections(http)
        return http

    def _connected(self) -> httpx.Client:
        """The connections of this process: two that write to one would mix up their requests, and the answers."""
        if self._process != os.getpid():
            self._process = os.getpid()
            if not self._http.is_closed:
                self._http = self._connections()
        return self._http

    def close(self) -> None:
        """Close the connections. The sandboxes live on."""
        self._connected().close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def healthz(self) -> bool:
        """Whether the server says that it is well."""
        response = self._send(self._request("GET", "/v1/healthz"), stream=False)
        return response.is_success and response.text.strip() == "ok"

    def create_sandbox(
        self,
        template: str | None = None,
        *,
        timeout_seconds: int | None = None,
        idle_timeout_seconds: int | None = None,
        ram_mib: int | None = None,
        rootfs_gb: int | None = None,
        persistent: bool | None = None,
        egress: bool | None = None,
    ) -> str:
        """Create a sandbox and return its id. The arguments are those of `Sandbox`."""
        created = self.create_sandbox_info(
            template,
            timeout_seconds=timeout_seconds,
            idle_timeout_seconds=idle_timeout_seconds,
            ram_mib=ram_mib,
            rootfs_gb=rootfs_gb,
            persistent=persistent,
            egress=egress,
        )
        return str(created["id"])

    def create_sandbox_info(
        self,
        template: str | None = None,
        *,
        timeout_seconds: int | None = None,
        idle_timeout_seconds: int | None = None,
        ram_mib: int | None = None,
        rootfs_gb: int | None = None,
        persistent: bool | None = None,
        egress: bool | None = None,
    ) -> dict[str, Any]:
        """As `create_sandbox`, and return all that the server answers: `id`, `state`, …"""
        body = wire.given(
            template=template,
            timeout_seconds=timeout_seconds,
            idle_timeout_seconds=idle_timeout_seconds,
            ram_mib=ram_mib,
            rootfs_gb=rootfs_gb,
            persistent=persistent,
            egress=egress,
        )
        return wire.answer(self._call("POST", "/v1/sandboxes", body), "id")

    def resume_space(
        self,
        space_id: str,
        *,
        timeout_seconds: int | None = None,
        idle_timeout_seconds: int | None = None,
        persistent: bool | None = None,
        egress: bool | None = None,
    ) -> dict[str, Any]:
        """Make a sandbox of what was frozen into a Space, which is gone then, and return all that the server answers.

        The arguments are those of `Sandbox.resume`.
        """
        body = wire.given(
            timeout_seconds=timeout_seconds,
            idle_timeout_seconds=idle_timeout_seconds,
            persistent=persistent,
            egress=egress,
        )
        return wire.answer(self._call("POST", f"/v1/spaces/{space_id}/resume", body), "id")

    def delete_space(self, space_id: str) -> None:
        """Delete a Space, with what is frozen in it."""
        self._call("DELETE", f"/v1/spaces/{space_id}")

    def exec_stream(
        self, sandbox_id: str, code: str, language: Language = "python", *, timeout: float | None = None
    ) -> EventStream:
        """Run code and iterate over its events as they arrive, the last being `exit`.

        The code starts when the first event is asked for. See `Sandbox.run_code_stream`.
        """
        interruption = Interruption(timeout)
        return EventStream(self._exec_events(sandbox_id, code, language, interruption), interruption)

    def _exec_events(
        self, sandbox_id: str, code: str, language: Language, interruption: Interruption
    ) -> Generator[Event, None, None]:
        """As `exec_stream`, for a caller that has its own interruption."""
        body = {"code": code, "language": language}
        request = self._request("POST", f"/v1/sandboxes/{sandbox_id}/exec", body, self._exec_timeout)
        interruption.begin()
        exited = False
        try:
            with closing(self._events(request, interruption)) as events:
                for event in events:
                    if event.type == "exit":
                        exited = True
                        interruption.finish()
                    yield event
            if not exited:
                cause = httpx.RemoteProtocolError("the stream ended without an exit event", request=request)
                raise connection_error(cause, request)
        except httpx.RequestError as error:
            stopped = interruption.explain(error)
            if stopped and exited:
                return  # the code had ended before its connection was broken
            if stopped:
                raise stopped from None
            raise
        finally:
            interruption.finish()

    def replay(self, sandbox_id: str) -> list[Event]:
        """Return the recent events of a sandbox, up to 1000."""
        request = self._request("GET", f"/v1/sandboxes/{sandbox_id}/replay")
        with closing(self._events(request, None)) as events:
            kept = []
            for event in events:
                kept.append(event)
            return kept

    def fork_sandbox(self, sandbox_id: str, n: int = 1) -> list[str]:
        """Fork a sandbox and return the ids of its children."""
        return (self.fork(sandbox_id, n)).ids

    def fork(self, sandbox_id: str, n: int = 1) -> Forked:
        """As `fork_sandbox`, and return everything that the server says about the children."""
        return wire.forked(self._call("POST", f"/v1/sandboxes/{sandbox_id}/fork", {"n": n}))

    def merge_into(self, parent_id: str, winner_id: str) -> None:
        """Make the winner's state the parent's. The winner's id is gone afterwards."""
        self._call("POST", f"/v1/sandboxes/{parent_id}/merge_into/{winner_id}")

    def destroy_sandbox(self, sandbox_id: str) -> None:
        """Destroy a sandbox."""
        self._call("DELETE", f"/v1/sandboxes/{sandbox_id}")

    def pty_create_stream(
        self, sandbox_id: str, body: Mapping[str, Any]
    ) -> Generator[PtyMessage, None, None]:
        """Start a program on a terminal, and iterate over what the server tells of it.

        It starts when the first message is asked for: `pty_ready` with its `session_id`. Then come `pty_data` with
        `data_b64`, at last `pty_exit` with the exit code as `data`. Leaving the stream leaves the program running.

        Args:
            sandbox_id: Where to start it.
            body: `shellCmd`, a command for bash, or `argv`, a list of words; `cols` and `rows`; `env`, a list of pairs;
                `cwd`.
        """
        response = self._pty_opened(sandbox_id, "", body, None)
        with closing(self._read(response, wire.pty_message_of)) as messages:
            for message in messages:
                yield message

    def pty_attach_stream(self, sandbox_id: str, pty_id: str) -> Generator[PtyMessage, None, None]:
        """Iterate over what a terminal has printed lately, up to 1 MiB, and over what it prints from now on."""
        response = self._pty_opened(sandbox_id, f"/{pty_id}/attach", None, None)
        with closing(self._read(response, wire.pty_message_of)) as messages:
            for message in messages:
                yield message

    def _pty_opened(
        self, sandbox_id: str, call: str, body: Mapping[str, Any] | None, interruption: Interruption | None
    ) -> httpx.Response:
        method, path = ("GET" if body is None else "POST"), f"/v1/sandboxes/{sandbox_id}/pty{call}"
        return self._opened(self._request(method, path, body, self._exec_timeout), interruption)

    def pty_list(self, sandbox_id: str) -> list[dict[str, Any]]:
        """Return the terminals of a sandbox whose programs run: `pty_id`, `cmd_label`, `created_at_ms`, `exit_code`."""
        return wire.answered_list(self._call("GET", f"/v1/sandboxes/{sandbox_id}/pty"), "pty_id")

    def pty_input(self, sandbox_id: str, pty_id: str, data: bytes) -> None:
        """Type something on a terminal."""
        body = {"data_b64": base64.b64encode(data).decode()}
        self._call("POST", f"/v1/sandboxes/{sandbox_id}/pty/{pty_id}/input", body)

    def pty_resize(self, sandbox_id: str, pty_id: str, cols: int, rows: int) -> None:
        """Give a terminal another size. Its program gets SIGWINCH."""
        self._call("POST", f"/v1/sandboxes/{sandbox_id}/pty/{pty_id}/resize", {"cols": cols, "rows": rows})

    def pty_kill(self, sandbox_id: str, pty_id: str) -> None:
        """Kill the program on a terminal, and its process group."""
        self._call("POST", f"/v1/sandboxes/{sandbox_id}/pty/{pty_id}/kill")

    def pty_read(
        self, sandbox_id: str, pty_id: str, since_seq: int, max_bytes: int = 65536, timeout_ms: int = 10000
    ) -> dict[str, Any]:
        """Return what a terminal has printed from a position on: `data_b64`, `next_seq` and `exit_code`.

        Args:
            sandbox_id, pty_id: The terminal.
            since_seq: The position: 0, or `next_seq` of the answer before.
            max_bytes: Of what is returned.
            timeout_ms: How long the server waits for something to be there, up to 30 seconds.
        """
        body = {"since_seq": since_seq, "max_bytes": max_bytes, "timeout_ms": timeout_ms}
        path = f"/v1/sandboxes/{sandbox_id}/pty/{pty_id}/read"
        read = None if self.timeout is None else httpx.Timeout(self.timeout + timeout_ms / 1000, pool=None)
        return wire.answer(self._call("POST", path, body, read), "data_b64")

    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        timeout: httpx.Timeout | None = None,
    ) -> httpx.Request:
        timeout = timeout or self._timeout
        # Not httpx's json=: it writes UTF-8, which lone surrogates (file names that are no UTF-8) cannot be.
        if body is None:
            return self._connected().build_request(method, path, timeout=timeout)
        headers = {"Content-Type": "application/json"}
        content = wire.written(body)
        return self._connected().build_request(
            method, path, content=content, headers=headers, timeout=timeout
        )

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        timeout: httpx.Timeout | None = None,
    ) -> httpx.Response:
        response = self._send(self._request(method, path, body, timeout), stream=False)
        if not response.is_success:
            raise status_error(response)
        return response

    def _send(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        if self._http.is_closed:
            raise ClientClosedError(f"the client of {self.host} is closed")
        try:
            return self._connected().send(request, stream=stream)
        except NestedCall:
            return self._send_beside(request, stream=stream)
        except RuntimeError as error:
            if not self._http.is_closed:
                raise
            raise ClientClosedError(f"the client of {self.host} was closed during the call") from error
        except httpx.RequestError as error:
            # The message and the class say what the cause says; its chain is pages of httpx and httpcore.
            raise connection_error(error, request) from None

    def _send_beside(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        try:
            return send_beside(self._connections, request, stream=stream)
        except httpx.RequestError as error:
            raise connection_error(error, request) from None

    def _events(
        self, request: httpx.Request, interruption: Interruption | None
    ) -> Generator[Event, None, None]:
        response = self._opened(request, interruption)
        with closing(self._read(response, wire.event_of)) as events:
            for event in events:
                if event is not None:
                    yield event

    def _opened(self, request: httpx.Request, interruption: Interruption | None) -> httpx.Response:
        """The answer as soon as it begins. To be closed."""
        token = sending.set(interruption)
        try:
            response = self._send(request, stream=True)
        finally:
            sending.reset(token)
        if not response.is_success:
            try:
                response.read()
            except httpx.RequestError as error:
                raise connection_error(error, request) from None
            finally:
                response.close()
            raise status_error(response)
        return response

    def _read(
        self, response: httpx.Response, meaning: Callable[[Mapping[str, Any]], T]
    ) -> Generator[T, None, None]:
        """What the lines of the answer mean, as they come."""
        reader = wire.LineReader(response.request, meaning)
        try:
            for chunk in response.iter_bytes():
                for found in reader.feed(chunk):
                    yield found
            for found in reader.end():
                yield found
        except httpx.RequestError as error:
            raise connection_error(error, response.request) from None
        finally:
            response.close()
