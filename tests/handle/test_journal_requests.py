"""Every request to the service is in the journal, those that were refused and those that were broken off too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from podflare import Client, PodflareError, Sandbox
from podflare_emulator import Emulator

from ..matrix import SLOW, servers

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module", params=servers())
def server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator(server=request.param, isolation="portable", api_keys=("pk_test",)) as emulator:
        yield emulator


def ask(emulator: Emulator, method: str, path: str, key: str = "pk_test", **request: Any) -> httpx.Response:
    return httpx.request(
        method, f"{emulator.url}{path}", headers={"Authorization": f"Bearer {key}"}, **request
    )


@SLOW
def test_they_come_in_order_with_what_was_asked_and_answered(emulator: Emulator) -> None:
    with Sandbox(template="default", idle_timeout_seconds=60) as parent:
        parent.run_code("x = 1")
        (child,) = parent.fork(1)
        parent.merge_into(child)
        list(parent.replay())
    create, execute, fork, merge, replay, destroy = emulator.requests()
    assert (create.method, create.path, create.call) == ("POST", "/v1/sandboxes", "create")
    assert create.body["idle_timeout_seconds"] == 60
    assert (execute.call, execute.body["code"], execute.status) == ("exec", "x = 1", 200)
    assert (fork.call, fork.body) == ("fork", {"n": 1})
    assert (merge.call, merge.path) == ("merge_into", f"/v1/sandboxes/{parent.id}/merge_into/{child.id}")
    assert (replay.call, destroy.call, destroy.status) == ("replay", "destroy", 204)
    assert {one.sandbox for one in emulator.requests()} == {parent.id}
    assert create.ended is not None
    assert create.started <= create.ended <= execute.started
    assert not any(one.refused for one in emulator.requests())
    assert repr(merge).startswith(f"<merge_into {parent.id[:12]} (204, ")


def test_they_are_found_by_sandbox_call_and_status(emulator: Emulator) -> None:
    with Sandbox() as one, Sandbox() as other:
        one.run_code("1")
        other.run_code("2")
        assert [found.body["code"] for found in emulator.requests(call="exec", sandbox=other)] == ["2"]
        assert [found.call for found in emulator.requests(sandbox=one.id)] == ["create", "exec"]
        ask(emulator, "POST", f"/v1/sandboxes/{one.id}/fork", json={"n": 0})
        (refused,) = emulator.requests(status=400)
        assert (refused.call, refused.refused, refused.error) == ("fork", True, "n: expected 1 to 32, got 0")


def test_one_that_never_reached_a_sandbox_is_there(emulator: Emulator) -> None:
    ask(emulator, "POST", "/v1/sandboxes/sbx_none/exec", key="pk_wrong", json={"code": "1"})
    ask(emulator, "POST", "/v1/sandboxes/sbx_none/exec", json={"code": "1"})
    ask(emulator, "PATCH", "/v1/nothing")
    ask(emulator, "GET", "/v1/sandboxes")
    ask(emulator, "GET", "/v1/healthz")
    ask(emulator, "GET", "/elsewhere")
    told = [(one.call, one.sandbox, one.status, one.error) for one in emulator.requests()]
    assert told == [
        ("exec", "sbx_none", 401, "invalid api key"),
        ("exec", "sbx_none", 404, "sandbox not found"),
        (None, None, 404, "not found: PATCH /v1/nothing"),
        (None, None, 405, "method not allowed: GET /v1/sandboxes"),
        ("healthz", None, 200, None),
        (None, None, 404, "not found: GET /elsewhere"),
    ]


def test_one_that_is_being_served_and_one_that_was_broken_off_say_so(emulator: Emulator) -> None:
    with Client() as client, Sandbox(client=client) as sandbox:
        events = sandbox.run_code_stream("import time; print(1, flush=True)\nwhile True: time.sleep(0.01)")
        next(events)
        (running,) = emulator.requests(call="exec")
        assert (running.status, running.ended, running.broken) == (200, None, False)
        events.close()
        sandbox.run_code("1")  # takes its turn after the other
        broken, whole = emulator.requests(call="exec")
        assert (broken.broken, broken.refused, whole.broken) == (True, True, False)
        assert "(200, broken off, " in repr(broken)


def test_a_large_body_is_told_by_its_size_and_text_as_text(emulator: Emulator) -> None:
    with Sandbox() as sandbox:
        sandbox.run_code("#" * 100_000)
        ask(emulator, "POST", f"/v1/sandboxes/{sandbox.id}/exec", content=b'{"code": \xff')
    large, text = emulator.requests(call="exec")[0], emulator.requests(status=415)
    assert (large.body, large.size > 100_000) == (None, True)
    assert [(one.body, one.size) for one in text] == [(None, 0)]  # refused before it was read


def test_a_body_that_is_no_json_is_there_as_text(emulator: Emulator) -> None:
    httpx.post(
        f"{emulator.url}/v1/sandboxes",
        content=b'{"template": \xff',
        headers={"Authorization": "Bearer pk_test", "Content-Type": "application/json"},
    )
    (create,) = emulator.requests(call="create")
    assert (create.body, create.status) == ('{"template": �', 400)


def test_their_traces_are_told(emulator: Emulator) -> None:
    with Client(traceparent=TRACE) as client, Sandbox(client=client):
        pass
    assert {one.traceparent for one in emulator.requests()} == {TRACE}


def test_the_control_apis_are_none_and_a_reset_forgets_all(emulator: Emulator) -> None:
    with Sandbox():
        pass
    assert [one.call for one in emulator.requests()] == ["create", "destroy"]
    assert ask(emulator, "POST", "/_emulator/requests").json()["result"][0]["call"] == "create"
    emulator.reset()
    assert emulator.requests() == []


def test_one_that_a_test_lets_fail_is_there_as_its_client_saw_it(emulator: Emulator) -> None:
    with Sandbox() as sandbox:
        for fault in ({"status": 503, "error": "try later"}, {"connection": "reset"}, {"cut_after": 1}):
            emulator.fault("exec", **fault)
            with pytest.raises((PodflareError, httpx.TransportError)):
                sandbox.run_code("print('said')")
        refused, reset, cut = emulator.requests(call="exec")
    assert (refused.status, refused.error, refused.broken) == (503, "try later", False)
    assert (reset.status, reset.broken, reset.body["code"]) == (None, True, "print('said')")
    assert (cut.status, cut.broken) == (200, True)
    assert "(no answer, " in repr(reset)
