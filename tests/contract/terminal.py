"""A terminal as a test uses it: types, and waits for what is to be seen."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
from typing import Any

import httpx

from .wire import Wire

_PATIENCE = (
    60  # seconds for what is waited for, so that a program that hangs is a failure and not a hanging suite
)


class Watching:
    """Reads one stream, that of a new terminal or of an attachment, in a thread."""

    def __init__(self, wire: Wire, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        self.messages: list[dict[str, Any]] = []
        self.seen = b""
        self._changed = threading.Condition()
        self._answer = wire.http.send(wire.http.build_request(method, path, json=body), stream=True)
        self.status = self._answer.status_code
        self._thread = threading.Thread(target=self._read, daemon=True)
        if self.status == 200:
            self._thread.start()

    def _read(self) -> None:
        try:
            for line in self._answer.iter_lines():
                message = json.loads(line)
                with self._changed:
                    self.messages.append(message)
                    if message["type"] == "pty_data":
                        self.seen += base64.b64decode(message["data_b64"])
                    self._changed.notify_all()
        except (httpx.HTTPError, httpx.StreamError, OSError):
            pass  # closed while it was read
        finally:
            with self._changed:
                self._changed.notify_all()

    def until(self, text: str) -> str:
        """Waits until this is seen; returns everything up to it, and forgets that."""
        wanted = text.encode()
        with self._changed:
            found = self._changed.wait_for(lambda: wanted in self.seen, _PATIENCE)
            assert found, f"waited for {text!r}, saw {self.seen!r}"
            before, _, self.seen = self.seen.partition(wanted)
            return before.decode("utf-8", "replace")

    def first(self) -> dict[str, Any]:
        with self._changed:
            assert self._changed.wait_for(lambda: self.messages, _PATIENCE)
            return self.messages[0]

    def exit_code(self) -> int:
        """Waits for the end."""
        self._thread.join(_PATIENCE)
        assert self.messages[-1]["type"] == "pty_exit", self.messages[-3:]
        return int(self.messages[-1]["data"])

    def close(self) -> None:
        if self._thread.ident:  # closing alone does not wake who reads
            with contextlib.suppress(OSError):
                self._answer.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            self._thread.join(_PATIENCE)
        self._answer.close()


class Terminal:
    """One session: its first stream is `watching`."""

    def __init__(self, wire: Wire, sandbox: str, command: str | list[str], **order: Any) -> None:
        self.wire = wire
        self.path = f"/v1/sandboxes/{sandbox}/pty"
        what = {"shellCmd": command} if isinstance(command, str) else {"argv": command}
        self.watching = Watching(wire, "POST", self.path, {**what, **order})
        assert self.watching.status == 200
        ready = self.watching.first()
        assert ready["type"] == "pty_ready"
        self.id = ready["session_id"]

    def type(self, text: str | bytes) -> None:
        data = text.encode() if isinstance(text, str) else text
        answer = self.call("input", data_b64=base64.b64encode(data).decode())
        assert answer.status_code == 204, answer.text

    def call(self, name: str, **body: Any) -> httpx.Response:
        return self.wire.post(f"{self.path}/{self.id}/{name}", body)

    def attach(self) -> Watching:
        return Watching(self.wire, "GET", f"{self.path}/{self.id}/attach")
