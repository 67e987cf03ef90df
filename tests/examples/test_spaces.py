import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx
import pytest

from podflare import Sandbox


class Sessions(HTTPServer):
    """The program under test: keeps the Space of each user whose sandbox was frozen, and gives him that back."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Hook)
        self.spaces = {}

    def open(self, api):
        sandbox = Sandbox(persistent=True, idle_timeout_seconds=600)
        return sandbox.id

    def reopen(self, api, sandbox_id):
        space = self.spaces.pop(sandbox_id)
        answer = httpx.post(f"{api}/v1/spaces/{space}/resume", json={"persistent": True})
        return answer.raise_for_status().json()["id"]


class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if event["type"] == "sandbox.frozen":
            self.server.spaces[event["sandbox_id"]] = event["space_id"]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def sessions():
    with Sessions() as sessions:
        Thread(target=sessions.serve_forever, args=(0.01,), daemon=True).start()
        yield sessions
        sessions.shutdown()


@pytest.mark.podflare(clock="manual", leaks="ignore")
def test_a_user_comes_back_after_the_weekend(podflare_emulator, sessions):
    podflare_emulator.webhook_url = f"http://127.0.0.1:{sessions.server_port}/"
    first = sessions.open(podflare_emulator.url)
    podflare_emulator.clock.advance(60 * 3600)
    second = sessions.reopen(podflare_emulator.url, first)
    assert second != first
