"""Who reaches the port of a local server can run code: a web page must not."""

import httpx
import pytest

from .wire import JSON, Wire, error_of

pytestmark = pytest.mark.usefixtures("ours")


def create(wire: Wire, headers: dict[str, str], content: bytes = b"{}") -> httpx.Response:
    answer = wire.http.post("/v1/sandboxes", content=content, headers=headers)
    if answer.status_code == 200:
        wire.delete(answer.json()["id"])
    return answer


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7070", "10.0.0.1", ""]
)
def test_a_foreign_host_is_403(wire: Wire, host: str) -> None:
    answer = create(wire, {**JSON, "Host": host})
    assert answer.status_code == 403
    assert "Host" in error_of(answer)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:7070", "127.0.0.1", "[::1]:7070", "LOCALHOST", "127.0.0.2"]
)
def test_every_loopback_name_is_fine(wire: Wire, host: str) -> None:
    assert create(wire, {**JSON, "Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "file://"]
)
def test_a_foreign_origin_is_403(wire: Wire, origin: str) -> None:
    answer = create(wire, {**JSON, "Origin": origin})
    assert answer.status_code == 403
    assert "Origin" in error_of(answer)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_cross_site_request_is_403(wire: Wire, site: str) -> None:
    assert create(wire, {**JSON, "Sec-Fetch-Site": site}).status_code == 403


@pytest.mark.parametrize("path", ["/v1/healthz", "/v1/sandboxes", "/no/such/path"])
def test_the_guard_stands_before_every_path(wire: Wire, path: str) -> None:
    assert wire.http.get(path, headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "",
    ],
)
def test_a_body_that_is_not_json_is_415(wire: Wire, content_type: str) -> None:
    answer = create(wire, {"Content-Type": content_type})
    assert answer.status_code == 415
    assert "application/json" in error_of(answer)


def test_a_body_without_a_content_type_is_415(wire: Wire) -> None:
    assert create(wire, {}).status_code == 415


def test_json_with_a_charset_is_fine(wire: Wire) -> None:
    assert create(wire, {"Content-Type": "application/json; charset=utf-8"}).status_code == 200


def test_a_preflight_gets_no_permission(wire: Wire) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = wire.http.request("OPTIONS", "/v1/sandboxes", headers=headers)
    assert answer.status_code >= 400
    assert not [name for name in answer.headers if name.startswith("access-control")]
