"""Bodies that make no sense are refused with 400, and the message names the field."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from podflare_emulator.api.bodies import LIMIT

from .fake_domain import SANDBOX_ID, FakeRegistry, ask, error_of

CREATE = "/v1/sandboxes"
EXEC = f"/v1/sandboxes/{SANDBOX_ID}/exec"
FORK = f"/v1/sandboxes/{SANDBOX_ID}/fork"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (EXEC, {}, "code: this field is required"),
        (EXEC, {"code": None}, "code: expected str, got null"),
        (EXEC, {"code": ["x"]}, "code: expected str, got array"),
        (EXEC, {"code": "x", "language": "ruby"}, "language: expected python or bash, got 'ruby'"),
        (EXEC, {"code": "x", "language": 1}, "language: expected str, got int"),
        (FORK, {"n": 0}, "n: expected 1 to 32, got 0"),
        (FORK, {"n": -1}, "n: expected 1 to 32, got -1"),
        (FORK, {"n": 33}, "n: expected 1 to 32, got 33"),
        (FORK, {"n": 10**30}, f"n: expected 1 to 32, got {10**30}"),
        (FORK, {"n": True}, "n: expected int, got bool"),
        (FORK, {"n": 1.5}, "n: expected int, got float"),
        (FORK, {"n": "3"}, "n: expected int, got str"),
        (FORK, {"n": None}, "n: expected int, got null"),
        (CREATE, {"template": 1}, "template: expected str | null, got int"),
        (CREATE, {"persistent": "yes"}, "persistent: expected bool | null, got str"),
        (CREATE, {"egress": 0}, "egress: expected bool | null, got int"),
        (CREATE, {"timeout_seconds": 0}, "timeout_seconds: expected 1 or more, got 0"),
        (CREATE, {"timeout_seconds": 1.5}, "timeout_seconds: expected int | null, got float"),
        (CREATE, {"idle_timeout_seconds": -5}, "idle_timeout_seconds: expected 1 or more, got -5"),
        (CREATE, {"ram_mib": 0}, "ram_mib: expected 1 or more, got 0"),
        (CREATE, {"rootfs_gb": -1}, "rootfs_gb: expected 1 or more, got -1"),
        (CREATE, [], "the body: expected object, got array"),
        (CREATE, "x", "the body: expected object, got str"),
        (CREATE, None, "the body: expected object, got null"),
    ],
)
def test_a_body_of_the_wrong_shape_is_400_and_names_the_field(path: str, body: Any, message: str) -> None:
    registry = FakeRegistry()
    content = b"null" if body is None else None
    response = ask(registry, "POST", path, json=body, content=content, headers=JSON)
    assert (response.status_code, error_of(response)) == (400, message)
    assert not registry.orders
    assert not registry.sandbox.executed
    assert not registry.sandbox.forks


@pytest.mark.parametrize(
    "content",
    [b"{", b"{} {}", b"\xff", b"code=1", b'{"n": NaN}', b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
    ids=["cut off", "two", "binary", "form", "NaN", "deep"],
)
def test_malformed_json_is_400(content: bytes) -> None:
    response = ask(FakeRegistry(), "POST", CREATE, content=content, headers=JSON)
    assert response.status_code == 400
    assert error_of(response).startswith("the body is")


def test_text_that_is_not_utf8_is_400_and_names_the_field() -> None:
    content = b'{"language": "python", "code": "caf\xe9"}'
    response = ask(FakeRegistry(), "POST", EXEC, content=content, headers=JSON)
    assert (response.status_code, error_of(response)) == (400, "code: not UTF-8, byte 0xe9 at 35")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (rb'{"language": "python", "code": "\ud83d\ude00 and \ud83d"}', "code"),
        (rb'{"code": "x", "\ud83d": "y"}', r"\ud83d"),
    ],
)
def test_half_of_a_surrogate_pair_is_400_and_names_the_field(content: bytes, field: str) -> None:
    response = ask(FakeRegistry(), "POST", EXEC, content=content, headers=JSON)
    message = rf"{field}: half of a surrogate pair, '\ud83d', is no text"
    assert (response.status_code, error_of(response)) == (400, message)


def test_exec_with_an_empty_body_is_400_and_names_the_code() -> None:
    response = ask(FakeRegistry(), "POST", EXEC)
    assert (response.status_code, error_of(response)) == (400, "code: this field is required")


def test_a_body_in_many_chunks_is_one_body() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for byte in b'{"code": "print(1)"}':
            yield bytes([byte])

    registry = FakeRegistry()
    assert ask(registry, "POST", EXEC, content=chunks(), headers=JSON).status_code == 200
    assert registry.sandbox.executed == [("print(1)", "python")]


def test_a_body_beyond_the_limit_is_413_and_the_rest_of_it_is_not_read() -> None:
    chunk = b" " * 2**20
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += len(chunk)
            yield chunk

    response = ask(FakeRegistry(), "POST", EXEC, content=endless(), headers=JSON)
    assert response.status_code == 413
    assert "64 MiB" in error_of(response)
    assert sent <= LIMIT + len(chunk)
