import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from podflare import Sandbox


class Sessions(HTTPServer):
    """The program under test: whoever comes back finds the sandbox as it was left, though it was frozen meanwhile."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), FrozenHook)
        self.spaces = {}

    def open(self):
        return Sandbox(persistent=True, idle_timeout_seconds=600)

    def reopen(self, sandbox):
        return Sandbox.resume(self.spaces.pop(sandbox.id), persistent=True)


class FrozenHook(BaseHTTPRequestHandler):
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
        serving = Thread(target=sessions.serve_forever, args=(0.01,))
        serving.start()
        yield sessions
        sessions.shutdown()
        serving.join()


@pytest.mark.podflare(clock="manual")
def test_a_user_comes_back_after_the_weekend(podflare_emulator, sessions):
    podflare_emulator.webhook_url = f"http://127.0.0.1:{sessions.server_port}/podflare"
    sandbox = sessions.open()
    sandbox.run_code("page = iter(range(1, 100)); print(next(page))")
    podflare_emulator.clock.advance(60 * 3600)
    again = sessions.reopen(sandbox)
    assert again.run_code("print(next(page))").stdout == "2"
    again.close()
    sandbox.close()


@pytest.mark.podflare(clock="manual")
def test_without_a_server_the_events_are_kept_all_the_same(podflare_emulator):
    sandbox = Sandbox(persistent=True, timeout_seconds=60)
    podflare_emulator.clock.advance(60)
    frozen = podflare_emulator.webhooks[-1]
    assert (frozen.type, frozen.sandbox) == ("sandbox.frozen", sandbox.id)
    Sandbox.resume(frozen.space).close()
    sandbox.close()
