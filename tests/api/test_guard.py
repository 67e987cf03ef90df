"""Who may ask: loopback names, no web page, a key where there are keys, and nothing but JSON."""

from collections.abc import Mapping

import pytest

from podflare_emulator.vocabulary.settings import Settings

from .fake_domain import SANDBOX_ID, FakeRegistry, ask, error_of

KEYED = Settings(api_keys=("pk_one", "pk_two"))


def create_with(
    headers: Mapping[str, str | bytes], settings: Settings | None = None, method: str = "POST"
) -> tuple[int, str]:
    """Status and error of a create with `headers`; it must be the guard, not the domain, that refuses."""
    registry = FakeRegistry()
    response = ask(registry, method, "/v1/sandboxes", settings, headers=headers)
    assert not [name for name in response.headers if name.startswith("access-control-")]
    if response.status_code == 200:
        return 200, ""
    assert not registry.orders
    return response.status_code, error_of(response)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:7070",
        "LOCALHOST:1",
        "localhost.",
        "podflare.localhost:7070",
        "127.0.0.1",
        "127.0.0.1:7070",
        "127.8.9.10:80",
        "[::1]",
        "[::1]:7070",
    ],
)
def test_a_loopback_host_may_ask(host: str) -> None:
    assert create_with({"Host": host}) == (200, "")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7070",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evillocalhost",
        "10.0.0.1",
        "0.0.0.0:7070",
        "128.0.0.1",
        "[::2]:7070",
        "[::1",
        "[::1]x",
        "localhost:http",
        "localhost:1@evil.example",
        "",
    ],
)
def test_a_foreign_host_is_403_and_told_what_to_do(host: str) -> None:
    status, error = create_with({"Host": host})
    assert status == 403
    assert repr(host) in error
    assert "--allow-host" in error


def test_an_allowed_host_may_ask_by_any_port_and_no_other_may() -> None:
    settings = Settings(allow_hosts=("DevBox", "10.0.0.7", "fd00::7"))
    for host in ("devbox", "devbox:7070", "DEVBOX.:1", "10.0.0.7:7070", "[fd00::7]:7070"):
        assert create_with({"Host": host}, settings) == (200, "")
    assert create_with({"Host": "devbox.evil.example"}, settings)[0] == 403


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:7070", "https://[::1]"])
def test_a_loopback_origin_may_ask(origin: str) -> None:
    assert create_with({"Origin": origin}) == (200, "")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://evil.example:7070",
        "http://localhost.evil.example",
        "http://localhost@evil.example",
        "chrome-extension://abcdefgh",
        "null",
        "",
        "localhost",
        "file://",
    ],
)
def test_a_foreign_origin_is_403(origin: str) -> None:
    status, error = create_with({"Origin": origin})
    assert status == 403
    assert f"Origin {origin!r}" in error


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
def test_a_request_of_another_site_is_403(site: str, status: int) -> None:
    assert create_with({"Sec-Fetch-Site": site})[0] == status


@pytest.mark.parametrize(
    ("origin", "status"), [("https://evil.example", 403), ("http://localhost:3000", 405)]
)
def test_a_preflight_gets_no_permission(origin: str, status: int) -> None:
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert create_with(preflight, method="OPTIONS")[0] == status


@pytest.mark.parametrize("path", ["/v1/healthz", "/v1/sandboxes", "/", "/nothing"])
def test_every_route_is_guarded(path: str) -> None:
    assert ask(FakeRegistry(), "GET", path, headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON ;charset=utf-8"],
)
def test_json_is_taken_with_any_parameters(content_type: str) -> None:
    response = ask(
        FakeRegistry(), "POST", "/v1/sandboxes", content=b"{}", headers={"Content-Type": content_type}
    )
    assert response.status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/plain; application/json",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        None,
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/sandboxes"),
        ("POST", f"/v1/sandboxes/{SANDBOX_ID}/merge_into/x"),
        ("DELETE", f"/v1/sandboxes/{SANDBOX_ID}"),
        ("POST", "/nothing"),
    ],
)
def test_a_body_that_is_not_json_is_415(method: str, path: str, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = ask(FakeRegistry(), method, path, content=b"{}", headers=headers)
    assert response.status_code == 415
    assert "application/json" in error_of(response)


@pytest.mark.parametrize("authorization", ["Bearer pk_one", "Bearer pk_two", "bearer  pk_one"])
def test_each_key_opens(authorization: str) -> None:
    assert create_with({"Authorization": authorization}, KEYED) == (200, "")


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer pk_", "Bearer pk_onex", "Basic pk_one", "pk_one", "Bearer pé"],
)
def test_a_wrong_key_is_401(authorization: str) -> None:
    headers = {"Authorization": authorization.encode("latin-1")}
    assert create_with(headers, KEYED) == (401, "invalid api key")


def test_no_key_is_401_with_a_text_of_its_own() -> None:
    assert create_with({}, KEYED) == (401, "missing Authorization: Bearer <key>")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", f"/v1/sandboxes/{SANDBOX_ID}"),
        ("GET", f"/v1/sandboxes/{SANDBOX_ID}/replay"),
        ("POST", f"/v1/sandboxes/{SANDBOX_ID}/exec"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1/healthz/x"),
    ],
)
def test_every_v1_route_needs_the_key(method: str, path: str) -> None:
    assert ask(FakeRegistry(), method, path, KEYED).status_code == 401


@pytest.mark.parametrize("path", ["/v1/healthz", "/v1/healthz/"])
def test_healthz_needs_no_key(path: str) -> None:
    assert ask(FakeRegistry(), "GET", path, KEYED).status_code == 200


def test_no_key_is_needed_where_authentication_is_disabled() -> None:
    assert create_with({}, Settings(api_keys=("pk_one",), auth_disabled=True)) == (200, "")


def test_a_key_is_ignored_where_there_are_none() -> None:
    assert create_with({"Authorization": "Bearer anything"}) == (200, "")


def test_a_foreign_host_is_refused_before_its_key_is_looked_at() -> None:
    assert create_with({"Host": "evil.example", "Authorization": "Bearer wrong"}, KEYED)[0] == 403
