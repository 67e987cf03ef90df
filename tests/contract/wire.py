"""The API as HTTP, with nothing between the test and what is sent."""

import http.client
import json
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import httpx

from .server import Server

JSON = {"Content-Type": "application/json"}
NDJSON = "application/x-ndjson"
NEVER_WAS = "sbx_" + "0" * 32
_PATIENCE = 60  # seconds for an answer, so that a server that hangs is a failure and not a hanging suite

Language: TypeAlias = Literal["python", "bash"]
WireEvent: TypeAlias = dict[str, Any]


class Wire:
    """One method a call. What it creates is deleted by `clean_up`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._made: list[str] = []
        self._running: list[Running] = []
        self.http = httpx.Client(
            base_url=server.url, headers=server.headers, timeout=_PATIENCE, trust_env=False
        )

    def post(self, path: str, body: object = None) -> httpx.Response:
        """`body` as JSON; bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        return self.http.post(path, content=content, headers=JSON)

    def create(self, **body: object) -> str:
        answer = self.post("/v1/sandboxes", body)
        assert answer.status_code == 200, answer.text
        sandbox_id = str(answer.json()["id"])
        self._made.append(sandbox_id)
        return sandbox_id

    def fork(self, sandbox_id: str, n: int = 1) -> list[str]:
        answer = self.post(f"/v1/sandboxes/{sandbox_id}/fork", {"n": n})
        assert answer.status_code == 200, answer.text
        children = [str(child) for child in answer.json()["children"]]
        self._made += children
        return children

    def exec(self, sandbox_id: str, code: str, language: Language = "python") -> httpx.Response:
        return self.post(f"/v1/sandboxes/{sandbox_id}/exec", {"code": code, "language": language})

    def events(self, sandbox_id: str, code: str, language: Language = "python") -> list[WireEvent]:
        answer = self.exec(sandbox_id, code, language)
        assert answer.status_code == 200, answer.text
        return events_of(answer.content)

    def begin(self, sandbox_id: str, code: str, language: Language = "python") -> "Running":
        """Sends an exec, and returns when it has been sent."""
        return self._begin(f"{sandbox_id}/exec", {"code": code, "language": language})

    def begin_merge(self, parent_id: str, winner_id: str) -> "Running":
        """Sends a merge, and returns when it has been sent."""
        return self._begin(f"{parent_id}/merge_into/{winner_id}", {})

    def _begin(self, call: str, body: object) -> "Running":
        running = Running(self._server, f"/v1/sandboxes/{call}", body)
        self._running.append(running)
        return running

    def merge(self, parent_id: str, winner_id: str) -> httpx.Response:
        return self.post(f"/v1/sandboxes/{parent_id}/merge_into/{winner_id}")

    def delete(self, sandbox_id: str) -> httpx.Response:
        return self.http.delete(f"/v1/sandboxes/{sandbox_id}")

    def replay(self, sandbox_id: str) -> httpx.Response:
        return self.http.get(f"/v1/sandboxes/{sandbox_id}/replay")

    def settle(self) -> None:
        """Returns when the server has answered a request that it got after all that was sent before."""
        assert self.http.get("/v1/healthz").status_code == 200

    def clean_up(self) -> None:
        for sandbox_id in self._made:
            self.delete(sandbox_id)
        for running in self._running:
            running.go_away()
        self.http.close()


class Running:
    """One request on a connection of its own; the events of an exec are read as they come."""

    def __init__(self, server: Server, path: str, body: object) -> None:
        url = urlsplit(server.url)
        connect = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        self._connection = connect(url.netloc, timeout=_PATIENCE)
        self._connection.request("POST", url.path + path, json.dumps(body), {**server.headers, **JSON})
        self._response: http.client.HTTPResponse | None = None

    @property
    def response(self) -> http.client.HTTPResponse:
        """Waits for the status."""
        if self._response is None:
            self._response = self._connection.getresponse()
        return self._response

    def next_event(self) -> WireEvent:
        """Waits for it."""
        event: WireEvent = json.loads(self.response.readline())
        return event

    def rest(self) -> list[WireEvent]:
        """Waits for the end."""
        return events_of(self.response.read())

    def go_away(self) -> None:
        """Closes the connection, whatever is still to come."""
        self._connection.close()


def events_of(stream: bytes) -> list[WireEvent]:
    return [json.loads(line) for line in stream.split(b"\n") if line]


def texts(events: list[WireEvent], kind: str = "stdout") -> list[str]:
    """The lines of one stream."""
    return [event["data"] for event in events if event["type"] == kind]


def error_of(answer: httpx.Response) -> str:
    """The message of an answer that must be a refusal, in the form that every refusal has."""
    body = answer.json()
    assert list(body) == ["error"], body
    message = body["error"]
    assert isinstance(message, str)
    assert message
    return message
