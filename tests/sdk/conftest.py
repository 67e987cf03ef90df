"""A small server that speaks the API, so that the SDK is tested by itself.

Each of its sandboxes is a real Python process with a working directory of its own: the programs behind
upload, download and diff really run. What it answers can be replaced, call by call.
"""

import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import pytest

from podflare import Sandbox

# Status, headers, and the body in the pieces in which it is sent.
Answer: TypeAlias = tuple[int, dict[str, str], Iterable[bytes]]

_REPL = """
import contextlib, io, json, subprocess, sys, traceback
requests, answers, names = sys.stdin, sys.stdout, {"__name__": "__main__"}
for line in requests:
    request = json.loads(line)
    if request["language"] == "bash":
        done = subprocess.run(["bash", "-c", request["code"]], capture_output=True, text=True)
        out, err, code = done.stdout, done.stderr, done.returncode
    else:
        stdout, stderr, code = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            try:
                exec(request["code"], names)
            except BaseException:
                code = 1
                traceback.print_exc()
        out, err = stdout.getvalue(), stderr.getvalue()
    answers.write(json.dumps([out, err, code]) + "\\n")
    answers.flush()
"""


class _Repl:
    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _REPL],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self._directory.name,
            env={"TMPDIR": self._directory.name, "PATH": "/usr/bin:/bin"},
        )
        self._one_at_a_time = threading.Lock()

    def run(self, body: object) -> tuple[str, str, int]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with self._one_at_a_time:
            stdin.write(json.dumps(body).encode() + b"\n")
            stdin.flush()
            out, err, code = json.loads(stdout.readline())
        return out, err, code

    def end(self) -> None:
        self._process.communicate()
        self._directory.cleanup()


class _Service(ThreadingHTTPServer):
    request_queue_size = 128  # connections that come at once

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[dict[str, Any]] = []
        self.instead: dict[str, Answer] = {}
        self.repls: dict[str, _Repl] = {}
        self._made = 0

    def make(self) -> str:
        self._made += 1
        sandbox_id = f"sbx_{self._made:032x}"
        self.repls[sandbox_id] = _Repl()
        return sandbox_id


class _Handler(BaseHTTPRequestHandler):
    server: _Service
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        raw = self.rfile.read(length)
        if len(raw) < length:  # the client has broken it off
            self.close_connection = True
            return
        body = json.loads(raw) if raw else None
        self.server.received.append(
            {
                "method": self.command,
                "path": self.path,
                "headers": dict(self.headers),
                "body": body,
                "port": self.client_address[1],
            }
        )
        sandbox_id, _, call = self.path.removeprefix("/v1/sandboxes").strip("/").partition("/")
        if self.command == "DELETE":
            call = "destroy"
        name = re.match(r"\w*", call).group() or "create"  # type: ignore[union-attr]
        if name in self.server.instead:
            self._send(*self.server.instead[name])
        elif sandbox_id and sandbox_id not in self.server.repls:
            self._send(404, {}, [b'{"error": "sandbox not found"}'])
        else:
            self._send(*getattr(self, f"_{name}")(sandbox_id, call, body))

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815

    def _create(self, _id: str, _call: str, _body: object) -> Answer:
        return 200, {}, [json.dumps({"id": self.server.make(), "state": "ready"}).encode()]

    def _exec(self, sandbox_id: str, _call: str, body: object) -> Answer:
        out, err, code = self.server.repls[sandbox_id].run(body)
        events: list[tuple[str, str | int]] = [("stdout", line) for line in out.split("\n")[:-1]]
        events += [("stderr", line) for line in err.split("\n")[:-1]]
        events.append(("exit", code))
        return 200, {}, _event_lines(events)

    def _fork(self, _id: str, _call: str, body: dict[str, int]) -> Answer:
        return 200, {}, [json.dumps({"children": [self.server.make() for _ in range(body["n"])]}).encode()]

    def _merge_into(self, parent_id: str, call: str, _body: object) -> Answer:
        winner_id = call.removeprefix("merge_into/")
        self.server.repls[parent_id].end()
        self.server.repls[parent_id] = self.server.repls.pop(winner_id)
        return 204, {}, []

    def _destroy(self, sandbox_id: str, _call: str, _body: object) -> Answer:
        self.server.repls.pop(sandbox_id).end()
        return 204, {}, []

    def _send(self, status: int, headers: dict[str, str], pieces: Iterable[bytes]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if status == 204:
            return
        try:
            for piece in pieces:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            # The client has gone, or the test breaks the answer off.
            self.close_connection = True
        finally:
            if isinstance(pieces, Iterator) and hasattr(pieces, "close"):
                pieces.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _event_lines(events: Iterable[tuple[str, str | int]]) -> list[bytes]:
    return [
        json.dumps({"type": kind, "data": data, "seq": seq, "ts": 1700000000000}).encode() + b"\n"
        for seq, (kind, data) in enumerate(events)
    ]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PODFLARE_HOST", "PODFLARE_HOSTD_URL", "PODFLARE_API_KEY", "PODFLARE_TRACEPARENT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def _service() -> Iterator[_Service]:
    with _Service() as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield service
        service.shutdown()
        thread.join()
        for repl in service.repls.values():
            repl.end()


@pytest.fixture
def host(_service: _Service) -> str:
    """The URL of the server."""
    return f"http://127.0.0.1:{_service.server_port}"


@pytest.fixture
def received(_service: _Service) -> list[dict[str, Any]]:
    """The requests so far: `method`, `path`, `headers`, `body`, and the `port` that each came from."""
    return _service.received


@pytest.fixture
def instead(_service: _Service) -> dict[str, Answer]:
    """Answers to give from now on: under `create`, `exec`, `fork`, `merge_into`, `destroy` or `replay`."""
    return _service.instead


@pytest.fixture
def events_of_exec(instead: dict[str, Answer]) -> Callable[..., None]:
    """Call it with the (type, data) pairs that every exec shall yield from now on."""

    def set_events(*events: tuple[str, str | int]) -> None:
        instead["exec"] = (200, {}, _event_lines(events))

    return set_events


@pytest.fixture
def sandbox(host: str) -> Iterator[Sandbox]:
    with Sandbox(host=host) as sandbox:
        yield sandbox
