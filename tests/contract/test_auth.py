"""`Authorization: Bearer <key>` on everything but healthz, where the server has keys."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from podflare import Client, Sandbox, UnauthorizedError
from podflare_emulator import Emulator

from ..matrix import SLOW
from .printed import printed
from .wire import NEVER_WAS

KEY, OTHER_KEY = "pk_first", "pk_second"
CALLS = [
    ("POST", "/v1/sandboxes"),
    ("POST", f"/v1/sandboxes/{NEVER_WAS}/exec"),
    ("POST", f"/v1/sandboxes/{NEVER_WAS}/fork"),
    ("POST", f"/v1/sandboxes/{NEVER_WAS}/merge_into/{NEVER_WAS}"),
    ("DELETE", f"/v1/sandboxes/{NEVER_WAS}"),
    ("GET", f"/v1/sandboxes/{NEVER_WAS}/replay"),
    ("GET", "/v1/no-such-call"),
]


@pytest.fixture(scope="module")
def keyed(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an emulator that has two keys."""
    if request.config.getoption("--podflare-url", default=None):
        pytest.skip("it needs an emulator with keys of the test's own")
    with Emulator(api_keys=(KEY, OTHER_KEY), pool_size=1) as emulator:
        yield emulator.url


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_without_a_key_it_is_401(keyed: str, method: str, path: str) -> None:
    answer = httpx.request(method, keyed + path, json={} if method == "POST" else None)
    assert (answer.status_code, answer.json()) == (401, {"error": "missing Authorization: Bearer <key>"})


@pytest.mark.parametrize(
    "header",
    [
        "Bearer wrong",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        "Bearer",
        KEY,
        f"Basic {KEY}",
        f"Token {KEY}",
    ],
)
def test_with_a_wrong_key_it_is_401(keyed: str, header: str) -> None:
    answer = httpx.post(f"{keyed}/v1/sandboxes", json={}, headers={"Authorization": header})
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid api key"})


def test_healthz_is_open(keyed: str) -> None:
    assert httpx.get(f"{keyed}/v1/healthz").text == "ok"


@pytest.mark.parametrize("key", [KEY, OTHER_KEY])
def test_with_any_of_the_keys_everything_works(keyed: str, key: str) -> None:
    with Sandbox(host=keyed, api_key=key) as sandbox:
        [child] = sandbox.fork()
        assert printed(child, "print(1)") == "1"
        sandbox.merge_into(child)


def test_the_key_may_come_from_the_environment(keyed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODFLARE_API_KEY", KEY)
    with Sandbox(host=keyed) as sandbox:
        assert printed(sandbox, "print(1)") == "1"


def test_the_sdk_raises_unauthorized_error_which_is_httpxs_too(
    keyed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PODFLARE_API_KEY", raising=False)
    with pytest.raises(UnauthorizedError, match="missing Authorization") as caught:
        Sandbox(host=keyed)
    assert isinstance(caught.value, httpx.HTTPStatusError)


def test_the_key_is_not_seen_inside(keyed: str) -> None:
    with Client(host=keyed, api_key=KEY) as client, Sandbox(client=client) as sandbox:
        assert printed(sandbox, "env", "bash").find(KEY) == -1


@SLOW
def test_auth_disabled_lets_everybody_in(own_emulator: Callable[..., Emulator]) -> None:
    emulator = own_emulator(api_keys=(KEY,), auth_disabled=True, pool_size=0)
    with Sandbox(host=emulator.url, api_key="wrong") as sandbox:
        assert printed(sandbox, "print(1)") == "1"
