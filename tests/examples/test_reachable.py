import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest


class FakeModel(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"answer": 42}')

    def log_message(self, *arguments):
        pass


@pytest.fixture
def model():
    with HTTPServer(("127.0.0.1", 0), FakeModel) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_code_in_the_sandbox_asks_the_model(podflare_emulator, podflare_sandboxes, model):
    podflare_emulator.reachable = [("127.0.0.1", model)]
    sandbox = podflare_sandboxes()
    sandbox.run_code("from urllib.request import urlopen")
    ask = f"print(urlopen('http://127.0.0.1:{model}/v1/answer').read())"
    assert sandbox.run_code(ask).stdout == """b'{"answer": 42}'"""
