import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from podflare import (
    APIConnectionError,
    Client,
    NotFoundError,
    PodflareError,
    Sandbox,
    SandboxClosedError,
    ServerError,
    ThreadsLeftBehindWarning,
)


def _calls(received: list[dict[str, Any]]) -> list[str]:
    return [f"{request['method']} {request['path'].rpartition('/')[2]}" for request in received]


def test_with_block_creates_and_destroys(host: str, received: list[dict[str, Any]]) -> None:
    with Sandbox(host=host) as sandbox:
        assert sandbox.id.startswith("sbx_")
    assert _calls(received) == ["POST sandboxes", f"DELETE {sandbox.id}"]


def test_close_twice_destroys_once(host: str, received: list[dict[str, Any]]) -> None:
    sandbox = Sandbox(host=host)
    with ThreadPoolExecutor() as pool:
        for _ in range(8):
            pool.submit(sandbox.close)
    sandbox.close()
    assert len(received) == 2


def test_a_closed_sandbox_says_so(host: str) -> None:
    with Sandbox(host=host) as other:
        sandbox = Sandbox(host=host)
        sandbox.close()
        for use in (
            lambda: sandbox.run_code(""),
            lambda: next(sandbox.run_code_stream("")),
            lambda: sandbox.fork(),
            lambda: sandbox.upload(b"", "x"),
            lambda: sandbox.download("x"),
            lambda: sandbox.diff(other, paths=["."]),
            lambda: other.diff(sandbox, paths=["."]),
            lambda: sandbox.merge_into(other),
            lambda: other.merge_into(sandbox),
            lambda: next(sandbox.replay()),
        ):
            with pytest.raises(SandboxClosedError, match=f"{sandbox.id} is closed"):
                use()


def test_close_of_a_sandbox_the_server_does_not_know_succeeds(host: str, instead: dict[str, Any]) -> None:
    sandbox = Sandbox(host=host)
    instead["destroy"] = (404, {}, [b'{"error": "sandbox not found"}'])
    sandbox.close()


def test_a_close_that_fails_says_so_and_can_be_repeated(
    host: str, instead: dict[str, Any], received: list[dict[str, Any]]
) -> None:
    sandbox = Sandbox(host=host)
    instead["destroy"] = (500, {}, [b'{"error": "agent did not respond"}'])
    with pytest.raises(ServerError, match="agent did not respond"):
        sandbox.close()
    del instead["destroy"]
    assert sandbox.run_code("print(1)").stdout == "1", "it is open still"
    sandbox.close()
    sandbox.close()
    assert [one["method"] for one in received].count("DELETE") == 2


def test_a_failing_close_does_not_hide_the_error_of_the_block(host: str, instead: dict[str, Any]) -> None:
    instead["destroy"] = (500, {}, [b'{"error": "agent did not respond"}'])
    with pytest.raises(KeyError, match="mine"), Sandbox(host=host):
        raise KeyError("mine")


def test_fork_returns_sandboxes(sandbox: Sandbox, received: list[dict[str, Any]]) -> None:
    children = sandbox.fork(n=3)
    assert received[-1]["body"] == {"n": 3}
    assert len({child.id for child in children} | {sandbox.id}) == 4
    for child in children:
        assert child.run_code("print(1)").stdout == "1"
        child.close()


def test_fork_of_one_is_the_default(sandbox: Sandbox, received: list[dict[str, Any]]) -> None:
    (child,) = sandbox.fork()
    assert received[-1]["body"] == {"n": 1}
    child.close()


def test_fork_warns_of_threads_that_only_the_parent_has(sandbox: Sandbox, instead: dict[str, Any]) -> None:
    instead["fork"] = (200, {"podflare-threads-left-behind": "2"}, [b'{"children": []}'])
    with pytest.warns(ThreadsLeftBehindWarning, match="2 thread") as caught:
        sandbox.fork()
    assert caught[0].filename == __file__


def test_fork_destroys_the_children_if_the_warning_is_an_error(
    host: str, received: list[dict[str, Any]], instead: dict[str, Any]
) -> None:
    with Sandbox(host=host) as sandbox, warnings.catch_warnings():
        warnings.simplefilter("error")
        instead["fork"] = (200, {"podflare-threads-left-behind": "1"}, [b'{"children": ["sbx_child"]}'])
        with pytest.raises(ThreadsLeftBehindWarning):
            sandbox.fork()
        assert _calls(received)[-1] == "DELETE sbx_child"


def test_children_outlive_their_parent(host: str) -> None:
    parent = Sandbox(host=host)
    (child,) = parent.fork()
    (grandchild,) = child.fork()
    parent.close()
    child.close()
    assert grandchild.run_code("print(1)").stdout == "1"
    client = grandchild._shared_client.client
    grandchild.close()
    assert client._http.is_closed


def test_a_given_client_stays_open(host: str) -> None:
    with Client(host) as client:
        with Sandbox(client=client) as first:
            first.fork()[0].close()
        with Sandbox(client=client) as second:
            assert second.run_code("print(1)").stdout == "1"


def test_merge_keeps_the_parents_id_and_takes_the_winners_state(sandbox: Sandbox) -> None:
    parent_id = sandbox.id
    (winner,) = sandbox.fork()
    winner.run_code("x = 'won'")
    sandbox.merge_into(winner)
    assert sandbox.id == parent_id
    assert sandbox.run_code("print(x)").stdout == "won"


def test_a_merged_winner_says_where_it_went(sandbox: Sandbox, received: list[dict[str, Any]]) -> None:
    (winner,) = sandbox.fork()
    sandbox.merge_into(winner)
    with pytest.raises(SandboxClosedError, match=f"{winner.id} was merged into {sandbox.id}"):
        winner.run_code("")
    with pytest.raises(PodflareError, match="was merged into"):
        sandbox.merge_into(winner)
    winner.close()
    assert not any(call == f"DELETE {winner.id}" for call in _calls(received))


def test_a_refused_merge_changes_nothing(sandbox: Sandbox, instead: dict[str, Any]) -> None:
    (winner,) = sandbox.fork()
    instead["merge_into"] = (404, {}, [b'{"error": "sandbox not found"}'])
    with pytest.raises(NotFoundError):
        sandbox.merge_into(winner)
    assert winner.run_code("print(1)").stdout == "1"
    winner.close()


def test_merging_a_sandbox_into_itself_is_the_servers_to_refuse(
    sandbox: Sandbox, instead: dict[str, Any]
) -> None:
    instead["merge_into"] = (400, {}, [b'{"error": "cannot merge a sandbox into itself"}'])
    with pytest.raises(PodflareError, match="into itself"):
        sandbox.merge_into(sandbox)


def test_another_thread_may_close_a_sandbox_that_runs_code(host: str, instead: dict[str, Any]) -> None:
    """As a watchdog does: the running call ends with an error when its stream ends."""
    closed = threading.Event()

    def until_closed() -> Iterator[bytes]:
        yield b'{"type":"stdout","data":"running","seq":0,"ts":1}\n'
        closed.wait(60)

    instead["exec"] = (200, {}, until_closed())
    sandbox = Sandbox(host=host)
    events = sandbox.run_code_stream("")
    next(events)
    sandbox.close()
    closed.set()
    with pytest.raises(APIConnectionError, match="without an exit event"):
        next(events)
    assert sandbox._shared_client.client._http.is_closed


def test_repr_shows_the_id(sandbox: Sandbox) -> None:
    assert repr(sandbox) == f"<Sandbox {sandbox.id}>"
