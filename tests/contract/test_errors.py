"""Every refusal has one form: a status that is not 2xx, and `{"error": "..."}`."""

import pytest

from .wire import NEVER_WAS, Wire, error_of


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/v1/sandboxes/{NEVER_WAS}/exec"),
        ("POST", f"/v1/sandboxes/{NEVER_WAS}/fork"),
        ("POST", f"/v1/sandboxes/{NEVER_WAS}/merge_into/{NEVER_WAS[:-1]}1"),
        ("GET", f"/v1/sandboxes/{NEVER_WAS}/replay"),
        ("DELETE", f"/v1/sandboxes/{NEVER_WAS}"),
    ],
)
def test_an_id_that_never_was_is_404_sandbox_not_found(wire: Wire, method: str, path: str) -> None:
    answer = wire.http.request(method, path, json={"code": ""} if method == "POST" else None)
    assert answer.status_code == 404
    assert answer.json() == {"error": "sandbox not found"}
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "sandbox_id", ["nonsense", "sbx_", "sbx_" + "G" * 32, "%2e%2e", "a%20b", "%F0%9F%90%8D"]
)
def test_what_is_no_id_at_all_is_404_too(wire: Wire, sandbox_id: str) -> None:
    answer = wire.post(f"/v1/sandboxes/{sandbox_id}/exec", {"code": ""})
    assert answer.status_code == 404
    assert error_of(answer) == "sandbox not found"


@pytest.mark.usefixtures("ours")
def test_a_path_that_is_no_call_is_404_and_says_what_was_asked(wire: Wire) -> None:
    answer = wire.http.get("/v1/sandwiches")
    assert answer.status_code == 404
    assert "/v1/sandwiches" in error_of(answer)


@pytest.mark.usefixtures("ours")
def test_a_method_that_a_call_does_not_have_is_405_and_says_what_was_asked(wire: Wire) -> None:
    answer = wire.http.get("/v1/sandboxes")
    assert answer.status_code == 405
    assert "GET /v1/sandboxes" in error_of(answer)
