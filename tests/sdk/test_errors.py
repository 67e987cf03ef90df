import pickle
import socket
import threading
from typing import Any

import httpx
import pytest

from podflare import (
    APIConnectionError,
    APIStatusError,
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    PodflareError,
    Sandbox,
    ServerError,
    TooManyRequestsError,
    UnauthorizedError,
)


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (302, APIStatusError),
        (400, BadRequestError),
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (415, BadRequestError),
        (422, BadRequestError),
        (429, TooManyRequestsError),
        (500, ServerError),
        (503, ServerError),
    ],
)
@pytest.mark.parametrize("call", ["fork", "exec"])
def test_a_refusal_is_an_error_of_its_class_with_the_servers_words(
    sandbox: Sandbox, instead: dict[str, Any], status: int, error_class: type[APIStatusError], call: str
) -> None:
    instead[call] = (status, {}, [b'{"error": "the reason"}'])
    with pytest.raises(httpx.HTTPStatusError, match=f"^the reason .*{status}.*/{call}") as caught:
        sandbox.fork() if call == "fork" else sandbox.run_code("")
    assert type(caught.value) is error_class
    assert isinstance(caught.value, PodflareError)
    assert caught.value.response.status_code == status
    assert caught.value.response.json() == {"error": "the reason"}
    assert caught.value.request.method == "POST"


@pytest.mark.parametrize(
    ("body", "shown"),
    [(b"<h1>Bad Gateway</h1>", "<h1>Bad Gateway</h1>"), (b"", "Bad Gateway"), (b"[]", r"\[\]")],
)
def test_an_answer_that_is_not_the_apis_is_shown(
    sandbox: Sandbox, instead: dict[str, Any], body: bytes, shown: str
) -> None:
    instead["fork"] = (502, {}, [body] if body else [])
    with pytest.raises(ServerError, match=shown):
        sandbox.fork()


def test_an_answer_without_an_id_is_an_error(host: str, instead: dict[str, Any]) -> None:
    instead["create"] = (200, {}, [b"<html>some other server</html>"])
    with pytest.raises(APIConnectionError, match="is this a Podflare server"):
        Sandbox(host=host)


def test_connection_refused_says_what_was_tried_and_what_to_do(closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    with pytest.raises(httpx.ConnectError, match="podflare-emulator") as caught:
        Sandbox(host=url)
    assert isinstance(caught.value, APIConnectionError)
    assert url in str(caught.value)


def test_a_server_that_hangs_up_is_a_transport_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(httpx.TransportError) as caught:
            Sandbox(host=f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert isinstance(caught.value, APIConnectionError)


def test_a_refusal_survives_pickling(sandbox: Sandbox, instead: dict[str, Any]) -> None:
    instead["fork"] = (404, {}, [b'{"error": "sandbox not found"}'])
    with pytest.raises(NotFoundError) as caught:
        sandbox.fork()
    restored = pickle.loads(pickle.dumps(caught.value))
    assert type(restored) is NotFoundError
    assert str(restored) == str(caught.value)
    assert restored.response.status_code == 404
    assert restored.request.url == caught.value.request.url


def test_a_connection_error_survives_pickling(closed_port: int) -> None:
    with pytest.raises(APIConnectionError) as caught:
        Sandbox(host=f"http://127.0.0.1:{closed_port}")
    restored = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(restored, APIConnectionError)
    assert isinstance(restored, httpx.ConnectError)
    assert str(restored) == str(caught.value)
    assert restored.request.url == caught.value.request.url
