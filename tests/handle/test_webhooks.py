"""Webhooks reach the user's server, are tried again when that fails, and are kept for tests to read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from podflare import Sandbox
from podflare_emulator import Emulator, EmulatorError, SettingsError

from ..matrix import SLOW


class Receiver:
    """`answers`: the statuses that come first; then it is 204. `received`: each body, with the header of its type."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.received: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/json"
                receiver.received.append(json.loads(body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
                self.end_headers()

            def log_message(self, *arguments: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?from=podflare"

    @property
    def types(self) -> list[str]:
        return [body["type"] for body in self.received]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = Thread(target=receiver.server.serve_forever, args=(0.01,))
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with Emulator(clock="manual", isolation="portable") as emulator:
        yield emulator


def settle(emulator: Emulator) -> None:
    """What is under way has been delivered."""
    emulator.clock.advance(0)


@SLOW
def test_the_whole_of_a_life_is_told_in_order(emulator: Emulator, receiver: Receiver) -> None:
    emulator.webhook_url = receiver.url
    with Sandbox(persistent=True, idle_timeout_seconds=60) as sandbox:
        (child,) = sandbox.fork()
        sandbox.merge_into(child)
        emulator.clock.advance(60)
        space = emulator.webhooks[-1].space
        resumed = httpx.post(f"{emulator.url}/v1/spaces/{space}/resume", json={}).json()["id"]
        httpx.delete(f"{emulator.url}/v1/sandboxes/{resumed}")
        settle(emulator)
    told = [
        {name: value for name, value in body.items() if name not in ("id", "ts")}
        for body in receiver.received
    ]
    assert told == [
        {"type": "sandbox.created", "sandbox_id": sandbox.id, "template": "default"},
        {"type": "sandbox.created", "sandbox_id": child.id, "parent_id": sandbox.id},
        {"type": "sandbox.merged", "sandbox_id": sandbox.id, "winner_id": child.id},
        {"type": "sandbox.frozen", "sandbox_id": sandbox.id, "space_id": space, "reason": "idle_timeout"},
        {"type": "sandbox.resumed", "sandbox_id": resumed, "space_id": space},
        {"type": "sandbox.destroyed", "sandbox_id": resumed, "reason": "deleted"},
    ]
    assert [one.body for one in emulator.webhooks] == receiver.received
    assert all(one.delivered for one in emulator.webhooks)
    assert all(body["id"].startswith("evt_") for body in receiver.received)


def test_a_receiver_that_fails_is_tried_again_and_gets_the_same(
    emulator: Emulator, receiver: Receiver
) -> None:
    emulator.webhook_url = receiver.url
    receiver.answers = [500, 503]
    with Sandbox():
        settle(emulator)
        begun = emulator.clock.now_ms
        assert [one.delivered for one in emulator.webhooks] == [False]
        emulator.clock.advance(3600)
        (webhook,) = emulator.webhooks
        assert [(one.status, one.at - begun) for one in webhook.attempts] == [
            (500, 0),
            (503, 1000),
            (204, 11_000),
        ]
        assert webhook.delivered
        assert receiver.received == [webhook.body] * 3


def test_it_is_given_up_in_the_end(emulator: Emulator, receiver: Receiver) -> None:
    emulator.webhook_url = receiver.url
    receiver.answers = [500] * 9
    with Sandbox():
        emulator.clock.advance(3600)
        assert len(receiver.received) == 5
        assert not emulator.webhooks[0].delivered


def test_a_receiver_that_is_not_there_is_an_error_of_the_attempt(emulator: Emulator) -> None:
    emulator.webhook_url = "http://127.0.0.1:1/"
    with Sandbox():
        settle(emulator)
        (attempt,) = emulator.webhooks[0].attempts
        assert attempt.status is None
        assert attempt.error


def test_without_a_url_they_are_kept_and_not_sent(emulator: Emulator) -> None:
    with Sandbox() as sandbox:
        pass
    assert [(one.type, one.sandbox, one.attempts) for one in emulator.webhooks] == [
        ("sandbox.created", sandbox.id, ()),
        ("sandbox.destroyed", sandbox.id, ()),
    ]
    assert repr(emulator.webhooks[1]) == f"<sandbox.destroyed: {sandbox.id}, deleted>"


def test_a_reset_is_no_event_and_ends_what_would_be_tried_again(
    emulator: Emulator, receiver: Receiver
) -> None:
    emulator.webhook_url = receiver.url
    receiver.answers = [500]
    with Sandbox():
        settle(emulator)
        emulator.reset()
        assert emulator.webhook_url is None
        assert emulator.webhooks == []
    emulator.clock.advance(3600)
    assert receiver.types == ["sandbox.created"]


@SLOW
def test_the_url_of_the_settings_holds_after_a_reset(receiver: Receiver) -> None:
    with Emulator(isolation="portable", webhook_url=receiver.url) as emulator:
        emulator.webhook_url = None
        emulator.reset()
        assert emulator.webhook_url == receiver.url
        with emulator.redirect_clients(), Sandbox():
            settle(emulator)
            assert receiver.types == ["sandbox.created"]


@pytest.mark.parametrize("url", ["ftp://x", "localhost:8000", "", 7])
def test_what_is_no_url_is_refused(emulator: Emulator, url: Any) -> None:
    with pytest.raises(EmulatorError, match="url: expected a URL such as http"):
        emulator.webhook_url = url
    with pytest.raises(SettingsError, match="webhook url: expected a URL"):
        Emulator(webhook_url=url)
