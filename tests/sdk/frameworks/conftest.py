"""For the tests of the frameworks: a fake model that speaks HTTP."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class FakeModel:
    """Answers each POST with the next of `answers`, and keeps the bodies in `asked`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []


@pytest.fixture
def fake_model() -> Iterator[FakeModel]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            model.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps(model.answers.pop(0)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        model = FakeModel(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield model
        server.shutdown()
        thread.join()


@pytest.fixture
def open_sandboxes(podflare_emulator: Any) -> Callable[[], list[str]]:
    """Call it for the ids of the sandboxes that are open now."""
    return lambda: [life.sandbox for life in podflare_emulator.tree().sandboxes if life.state == "open"]
