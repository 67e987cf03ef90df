import math
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from podflare import AsyncClient, AsyncSandbox, Client, Sandbox


def test_host_and_key_come_from_the_environment_when_used(
    host: str, received: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PODFLARE_HOST", host)
    monkeypatch.setenv("PODFLARE_API_KEY", "pk_environment\n")
    monkeypatch.setenv("PODFLARE_TRACEPARENT", "00-aa-bb-01")
    with Sandbox():
        pass
    assert received[0]["headers"]["Authorization"] == "Bearer pk_environment"
    assert received[0]["headers"]["traceparent"] == "00-aa-bb-01"


def test_podflare_host_wins_over_its_newer_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with Client() as client:
        assert client.host == "http://127.0.0.1:7070"
    monkeypatch.setenv("PODFLARE_HOSTD_URL", "http://newer:1")
    with Client() as client:
        assert client.host == "http://newer:1"
    monkeypatch.setenv("PODFLARE_HOST", "http://older:2")
    with Client() as client:
        assert client.host == "http://older:2"


def test_arguments_win_over_the_environment(
    host: str, received: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PODFLARE_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("PODFLARE_API_KEY", "pk_environment")
    monkeypatch.setenv("PODFLARE_TRACEPARENT", "00-aa-bb-01")
    with Sandbox(host=host, api_key="pk_explicit", traceparent="00-cc-dd-01"):
        pass
    assert received[0]["headers"]["Authorization"] == "Bearer pk_explicit"
    assert received[0]["headers"]["traceparent"] == "00-cc-dd-01"


def test_without_a_key_none_is_sent(sandbox: Sandbox, received: list[dict[str, Any]]) -> None:
    assert "Authorization" not in received[0]["headers"]
    assert "traceparent" not in received[0]["headers"]


def test_a_trailing_slash_is_fine(host: str, received: list[dict[str, Any]]) -> None:
    with Sandbox(host=host + "/") as sandbox:
        sandbox.run_code("")
    assert [request["path"] for request in received[:2]] == [
        "/v1/sandboxes",
        f"/v1/sandboxes/{sandbox.id}/exec",
    ]


@pytest.mark.parametrize("name", ["api_key", "traceparent"])
def test_what_no_header_can_hold_is_refused_and_not_shown(name: str) -> None:
    for value in ("clé", "two\nlines", b"secret", 5):
        wrong: Any = {name: value}
        with pytest.raises(ValueError, match=f"{name} must be") as caught:
            Client(**wrong)
        assert str(value) not in str(caught.value)


def test_the_newline_of_a_file_is_no_part_of_a_key(host: str, received: list[dict[str, Any]]) -> None:
    with Sandbox(host=f"{host}\n", api_key="pk_from_a_file\n", traceparent=" trace "):
        pass
    assert received[0]["headers"]["Authorization"] == "Bearer pk_from_a_file"
    assert received[0]["headers"]["traceparent"] == "trace"


def test_times_of_a_client(host: str) -> None:
    for timeout in (0, -1, "5", math.nan, object()):
        with pytest.raises(ValueError, match="timeout must be a positive number"):
            Client(host, timeout=timeout)  # type: ignore[arg-type]
    for keep_alive in (None, "5"):
        with pytest.raises(ValueError, match="keep_alive must be a number"):
            Client(host, keep_alive=keep_alive)  # type: ignore[arg-type]
    for long in (math.inf, 1e20, 10**7, None):
        with Client(host, timeout=long) as client:
            Sandbox(client=client).close()


@pytest.mark.parametrize("client", ["http://127.0.0.1:7070", AsyncClient("http://127.0.0.1:7070"), 5])
def test_a_client_of_the_other_kind(client: Any) -> None:
    with pytest.raises(ValueError, match="client must be of type Client"):
        Sandbox(client=client)
    with pytest.raises(ValueError, match="client must be of type AsyncClient"):
        AsyncSandbox(client=Client("http://127.0.0.1:7070"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host",
    [
        b"http://x",
        httpx.URL("http://x"),
        "127.0.0.1:7070",
        "localhost:7070",
        "api.podflare.dev",
        "ftp://x",
        "http://",
        "http://x:port",
        "",
    ],
)
def test_a_host_that_is_no_url_is_refused(host: Any) -> None:
    with pytest.raises(ValueError, match="host"):
        Sandbox(host=host)


def test_template_is_default_and_the_rest_left_to_the_server(
    sandbox: Sandbox, received: list[dict[str, Any]]
) -> None:
    assert received[0]["body"] == {"template": "default"}


def test_settings_are_sent_as_they_are(host: str, received: list[dict[str, Any]]) -> None:
    settings: dict[str, Any] = {
        "template": "python-datasci",
        "timeout_seconds": 60,
        "idle_timeout_seconds": 0,
        "ram_mib": 512,
        "rootfs_gb": 2,
        "persistent": True,
        "egress": False,
    }
    with Sandbox(host=host, **settings):
        pass
    assert received[0]["body"] == settings


def test_a_client_has_its_own_settings(host: str) -> None:
    with Client(host) as client, pytest.raises(ValueError, match="either a client"):
        Sandbox(client=client, host=host)


def test_an_answer_that_takes_too_long_is_a_timeout(host: str, instead: dict[str, Any]) -> None:
    released = threading.Event()

    def late() -> Iterator[bytes]:
        released.wait(60)
        yield b"{}"

    instead["create"] = (200, {}, late())
    with Client(host, timeout=0.05) as client:
        with pytest.raises(httpx.TimeoutException):
            Sandbox(client=client)
        released.set()


def test_the_environments_proxy_is_not_asked_for_loopback(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Sandbox(host=host) as sandbox:
        assert sandbox.run_code("print(1)").stdout == "1"
