"""A program may fork while it has a client, as the workers of `multiprocessing` and of servers are."""

import os
from collections.abc import Callable

import pytest

from podflare import Client, ClientClosedError, Sandbox
from podflare.integrations.running import CodeRunner

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform"),
    # Of the test's own process, whose threads the child does not need.
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]


def _forked(call: Callable[[], object]) -> str:
    """What a forked process says of the call: its result, or its error."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = str(call())
        except BaseException as error:
            told = repr(error)
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        told = file.read()
    os.waitpid(child, 0)
    return told


def _ports(client: Client) -> set[int]:
    pool = client._http._transport._pool  # type: ignore[attr-defined]
    connected = [one._connection._network_stream.get_extra_info("client_addr") for one in pool._connections]
    return {address[1] for address in connected}


def test_it_has_connections_of_its_own(podflare_client: Client) -> None:
    sandbox = Sandbox(client=podflare_client)
    mine = _ports(podflare_client)
    assert mine

    def run() -> str:
        printed = sandbox.run_code("print(6 * 7)").stdout
        return f"{printed} {len(mine & _ports(podflare_client))}"

    assert _forked(run) == "42 0"
    assert sandbox.run_code("print(1)").stdout == "1"
    assert _ports(podflare_client) == mine
    sandbox.close()


def test_it_may_close_its_client_and_leave_the_parents_open(podflare_client: Client) -> None:
    sandbox = Sandbox(client=podflare_client)
    assert _forked(podflare_client.close) == "None"
    assert sandbox.run_code("print(1)").stdout == "1"
    sandbox.close()


def test_a_closed_client_is_closed_there_too(host: str) -> None:
    client = Client(host)
    client.close()
    assert _forked(client.healthz) == repr(ClientClosedError(f"the client of {host} is closed"))


def test_its_end_leaves_the_sandbox_of_a_tool(podflare_client: Client) -> None:
    runner = CodeRunner(settings={"client": podflare_client})
    runner.run("x = 42")
    unused = runner._end_unused
    assert unused is not None
    assert _forked(unused) == "None"  # as at the exit of Python
    assert runner.run("print(x)").stdout == "42"
    runner.close()
