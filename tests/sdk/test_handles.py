"""Handles on a sandbox that exists: `connect`, copies, pickles."""

import copy
import os
import pickle
import subprocess
import sys
from typing import Any

import pytest

from podflare import (
    Client,
    ClientClosedError,
    InvalidArgumentError,
    NotFoundError,
    Sandbox,
    SandboxClosedError,
)

from ..matrix import SLOW


def _destroyed(received: list[dict[str, Any]]) -> list[str]:
    return [one["path"].rpartition("/")[2] for one in received if one["method"] == "DELETE"]


def test_a_connected_handle_sees_the_same_sandbox(sandbox: Sandbox, host: str) -> None:
    sandbox.run_code("x = 1")
    with Sandbox.connect(sandbox.id, host=host) as handle:
        assert handle.id == sandbox.id
        assert handle.run_code("print(x)").stdout == "1"


def test_the_end_of_its_block_leaves_the_sandbox_and_closes_its_connections(
    sandbox: Sandbox, host: str, received: list[dict[str, Any]]
) -> None:
    with Sandbox.connect(sandbox.id, host=host) as handle:
        handle.run_code("")
    assert _destroyed(received) == []
    assert handle._shared_client.client._http.is_closed
    with pytest.raises(SandboxClosedError, match="this handle"):
        handle.run_code("")
    assert sandbox.run_code("print(1)").stdout == "1"


def test_close_destroys_all_the_same(sandbox: Sandbox, host: str, received: list[dict[str, Any]]) -> None:
    with Sandbox.connect(sandbox.id, host=host) as handle:
        handle.close()
    assert _destroyed(received) == [sandbox.id]


def test_its_forks_are_its_own(sandbox: Sandbox, host: str, received: list[dict[str, Any]]) -> None:
    with Sandbox.connect(sandbox.id, host=host) as handle:
        (child,) = handle.fork()
    with child:
        assert child.run_code("print(1)").stdout == "1"
    assert _destroyed(received) == [child.id]


def test_connect_asks_nothing_and_the_first_call_tells(host: str, received: list[dict[str, Any]]) -> None:
    with Sandbox.connect("sbx_none", host=host) as handle:
        assert received == []
        with pytest.raises(NotFoundError):
            handle.run_code("")


@pytest.mark.parametrize("wrong", ["", "sbx_1/exec", None])
def test_an_id_that_cannot_be_one(wrong: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="sandbox_id must be"):
        Sandbox.connect(wrong)


def test_a_client_has_its_own_settings(host: str) -> None:
    with Client(host) as client, pytest.raises(InvalidArgumentError, match="a client has its own"):
        Sandbox.connect("sbx_0", client=client, host=host)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_do_not_own(sandbox: Sandbox, received: list[dict[str, Any]], copied: Any) -> None:
    sandbox.run_code("x = 1")
    with copied(sandbox) as handle:
        assert handle.run_code("print(x)").stdout == "1"
    assert _destroyed(received) == []
    assert sandbox.run_code("print(x)").stdout == "1"


def test_a_copy_ends_with_the_client_it_shares(host: str) -> None:
    sandbox = Sandbox(host=host)
    handle = copy.copy(sandbox)
    sandbox.close()
    with pytest.raises(ClientClosedError):
        handle.run_code("")


@SLOW
def test_a_pickle_holds_no_key_and_works_in_another_process(
    sandbox: Sandbox, received: list[dict[str, Any]]
) -> None:
    with Sandbox.connect(sandbox.id, host=sandbox._shared_client.client.host, api_key="pk_secret") as given:
        pickled = pickle.dumps(given)
    assert b"pk_secret" not in pickled
    program = "import pickle, sys\nwith pickle.load(sys.stdin.buffer) as s: print(s.run_code('print(6 * 7)').stdout)"
    environment = {**os.environ, "PODFLARE_API_KEY": "pk_from_the_environment"}
    run = subprocess.run(
        [sys.executable, "-c", program], input=pickled, capture_output=True, env=environment, check=True
    )
    assert run.stdout == b"42\n"
    assert received[-1]["headers"]["Authorization"] == "Bearer pk_from_the_environment"
    assert _destroyed(received) == []
