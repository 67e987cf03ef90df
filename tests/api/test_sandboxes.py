"""Every call on sandboxes: its status, its body, and what it asks of the domain."""

import json
import logging
from typing import Any

import pytest

from podflare_emulator.domain.registry import SandboxOrder
from podflare_emulator.vocabulary.sandbox_errors import GuestFailed, InvalidRequest, SandboxNotFound

from .fake_domain import SANDBOX_ID, FakeRegistry, ask, error_of, exited, lines_of, stdout

ONE = f"/v1/sandboxes/{SANDBOX_ID}"


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


def test_healthz_is_the_text_ok(registry: FakeRegistry) -> None:
    response = ask(registry, "GET", "/v1/healthz")
    assert (response.status_code, response.text) == (200, "ok")


def test_create_answers_the_id_of_a_ready_sandbox(registry: FakeRegistry) -> None:
    response = ask(registry, "POST", "/v1/sandboxes", json={})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"id": SANDBOX_ID, "state": "ready"}


def test_create_passes_every_field_on(registry: FakeRegistry) -> None:
    order = {
        "template": "python-datasci",
        "timeout_seconds": 60,
        "idle_timeout_seconds": 30,
        "ram_mib": 512,
        "rootfs_gb": 4,
        "persistent": True,
        "egress": False,
    }
    ask(registry, "POST", "/v1/sandboxes", json=order)
    assert registry.orders == [SandboxOrder(**order)]  # type: ignore[arg-type]


def test_create_takes_null_for_absent_and_ignores_unknown_fields(registry: FakeRegistry) -> None:
    nothing = dict.fromkeys(
        (
            "template",
            "timeout_seconds",
            "idle_timeout_seconds",
            "ram_mib",
            "rootfs_gb",
            "persistent",
            "egress",
        )
    )
    assert ask(registry, "POST", "/v1/sandboxes", json={**nothing, "colour": "red"}).status_code == 200
    assert registry.orders == [SandboxOrder()]


def test_exec_streams_the_events_one_a_line(registry: FakeRegistry) -> None:
    events = [stdout("42"), exited(3, seq=1)]
    registry.sandbox.events = events
    response = ask(registry, "POST", f"{ONE}/exec", json={"code": "print(6*7)"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in response.text.splitlines()] == lines_of(events)


@pytest.mark.parametrize(
    ("body", "executed"),
    [
        ({"code": "1"}, ("1", "python")),
        ({"code": "1", "language": "python"}, ("1", "python")),
        ({"code": "ls", "language": "bash"}, ("ls", "bash")),
        ({"code": ""}, ("", "python")),
        ({"code": "\0 é\u2028", "new": 1}, ("\0 é\u2028", "python")),
    ],
)
def test_exec_runs_the_code_in_its_language(
    registry: FakeRegistry, body: dict[str, Any], executed: tuple[str, str]
) -> None:
    assert ask(registry, "POST", f"{ONE}/exec", json=body).status_code == 200
    assert registry.sandbox.executed == [executed]


def test_fork_answers_the_children(registry: FakeRegistry) -> None:
    response = ask(registry, "POST", f"{ONE}/fork", json={"n": 2})
    assert response.status_code == 200
    assert response.json() == {"children": [f"sbx_{i:032x}" for i in range(2)]}
    assert "podflare-threads-left-behind" not in response.headers


def test_fork_tells_how_many_threads_the_children_lack(registry: FakeRegistry) -> None:
    registry.sandbox.threads_left_behind = 3
    response = ask(registry, "POST", f"{ONE}/fork", json={})
    assert response.headers["podflare-threads-left-behind"] == "3"


def test_fork_tells_how_many_processes_the_children_lack(registry: FakeRegistry) -> None:
    registry.sandbox.processes_left_behind = 2
    response = ask(registry, "POST", f"{ONE}/fork", json={})
    assert response.headers["podflare-processes-left-behind"] == "2"


def test_fork_tells_which_calls_of_a_replay_ended_otherwise(registry: FakeRegistry) -> None:
    registry.sandbox.replay_differences = (2, 5)
    response = ask(registry, "POST", f"{ONE}/fork", json={})
    assert response.headers["podflare-replay-differences"] == "2, 5"


def test_fork_with_nothing_to_tell_tells_nothing(registry: FakeRegistry) -> None:
    response = ask(registry, "POST", f"{ONE}/fork", json={})
    assert [name for name in response.headers if name.startswith("podflare-")] == []


@pytest.mark.parametrize(("body", "n"), [({}, 1), ({"n": 1}, 1), ({"n": 32}, 32)])
def test_fork_makes_n_children_by_default_one(registry: FakeRegistry, body: dict[str, int], n: int) -> None:
    ask(registry, "POST", f"{ONE}/fork", json=body)
    assert registry.sandbox.forks == [n]


def test_merge_into_answers_204_without_a_body(registry: FakeRegistry) -> None:
    response = ask(registry, "POST", f"{ONE}/merge_into/sbx_winner")
    assert (response.status_code, response.content) == (204, b"")
    assert registry.merged == [(SANDBOX_ID, "sbx_winner")]


def test_delete_answers_204_without_a_body(registry: FakeRegistry) -> None:
    response = ask(registry, "DELETE", ONE)
    assert (response.status_code, response.content) == (204, b"")
    assert registry.destroyed == [SANDBOX_ID]


def test_replay_answers_the_recent_events(registry: FakeRegistry) -> None:
    registry.sandbox.recent = [stdout("a"), exited(seq=1)]
    response = ask(registry, "GET", f"{ONE}/replay")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in response.text.splitlines()] == lines_of(registry.sandbox.recent)


def test_replay_of_a_fresh_sandbox_is_empty(registry: FakeRegistry) -> None:
    assert ask(registry, "GET", f"{ONE}/replay").content == b""


@pytest.mark.parametrize("path", ["/v1/sandboxes", f"{ONE}/fork"])
@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json"])
def test_an_empty_body_is_an_empty_object(
    registry: FakeRegistry, path: str, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    assert ask(registry, "POST", path, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "call"),
    [("POST", "/exec"), ("POST", "/fork"), ("GET", "/replay")],
    ids=["exec", "fork", "replay"],
)
def test_a_sandbox_that_is_not_there_is_404(registry: FakeRegistry, method: str, call: str) -> None:
    body = {"json": {"code": ""}} if method == "POST" else {}
    response = ask(registry, method, f"/v1/sandboxes/sbx_gone{call}", **body)
    assert (response.status_code, error_of(response)) == (404, "sandbox not found")


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (SandboxNotFound(), 404),
        (InvalidRequest("winner: is the parent itself"), 400),
        (GuestFailed("agent did not respond"), 500),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/sandboxes"),
        ("POST", f"{ONE}/exec"),
        ("POST", f"{ONE}/fork"),
        ("POST", f"{ONE}/merge_into/sbx_winner"),
        ("DELETE", ONE),
    ],
)
def test_what_the_domain_refuses_has_its_status_and_message(
    registry: FakeRegistry, method: str, path: str, failure: Exception, status: int
) -> None:
    registry.failure = registry.sandbox.failure = failure
    response = ask(registry, method, path, **({"json": {"code": ""}} if method == "POST" else {}))
    assert (response.status_code, error_of(response)) == (status, str(failure))


def test_an_unexpected_failure_is_500_and_logged_with_its_traceback(
    registry: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.failure = ZeroDivisionError("division by zero")
    with caplog.at_level(logging.ERROR, "podflare_emulator"):
        response = ask(registry, "POST", "/v1/sandboxes")
    assert response.status_code == 500
    assert "ZeroDivisionError: division by zero" in error_of(response)
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/sandbox", f"{ONE}/pause", "/v1/sandboxes//exec", "//v1/healthz"]
)
def test_an_unknown_route_is_404(registry: FakeRegistry, path: str) -> None:
    response = ask(registry, "GET", "http://127.0.0.1:7070" + path)
    assert response.status_code == 404
    assert error_of(response).startswith("not found: GET /")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/sandboxes", {"POST"}),
        ("GET", ONE, {"DELETE"}),
        ("PUT", f"{ONE}/exec", {"POST"}),
        ("POST", f"{ONE}/replay", {"GET", "HEAD"}),
        ("OPTIONS", "/v1/sandboxes", {"POST"}),
    ],
)
def test_a_wrong_method_is_405_and_tells_the_right_ones(
    registry: FakeRegistry, method: str, path: str, allowed: set[str]
) -> None:
    response = ask(registry, method, path)
    assert (response.status_code, error_of(response)) == (405, f"method not allowed: {method} {path}")
    assert set(response.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/healthz/", 200),
        ("HEAD", "/v1/healthz", 200),
        ("POST", "/v1/sandboxes/", 200),
        ("DELETE", f"{ONE}/", 204),
    ],
)
def test_head_and_a_slash_at_the_end_work(
    registry: FakeRegistry, method: str, path: str, status: int
) -> None:
    assert ask(registry, method, path).status_code == status
