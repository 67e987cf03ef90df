"""A test kills the server: it is told so, and the next test has another."""

from __future__ import annotations

import pytest

from ..matrix import SLOW

_KILLING = """
import os, psutil, pytest
from podflare import Client, Sandbox
from pytest_podflare import prepared_sandbox

def kill_all_children():
    children = psutil.Process().children(recursive=True)
    for child in children:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            pass
    psutil.wait_procs(children)

@pytest.fixture(scope="session")
def podflare_stubs():
    return {"deploy": "done"}

@prepared_sandbox
def prepared(sandbox):
    sandbox.run_code("x = 1")

@pytest.fixture(scope="module")
def client(podflare_emulator_module):
    with Client(host=podflare_emulator_module.url) as client:
        yield client

def use(sandbox, client):
    assert sandbox.run_code("x += 1; print(x)").stdout == "2"
    with Sandbox(client=client) as other, Sandbox() as another:
        assert other.run_code("deploy()").stdout == "done"
        assert another.run_code("print(3)").stdout == "3"
"""


@SLOW
def test_the_next_test_has_a_new_server_at_the_same_url(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        _KILLING
        + """
@pytest.mark.podflare(files={"/data/x": "1"})
def test_before(prepared, client):
    use(prepared, client)

@pytest.mark.podflare(files={"/data/x": "1"}, faults={"fork": 503})
def test_kills(prepared, client, podflare_emulator):
    podflare_emulator.kept_url = podflare_emulator.url
    kill_all_children()

def test_after(prepared, client, podflare_emulator):
    assert podflare_emulator.url == podflare_emulator.kept_url
    use(prepared, client)

def test_kills_without_a_fixture():
    kill_all_children()

def test_after_that(prepared, client):
    use(prepared, client)

def test_gives_it_up(podflare_emulator):
    os.kill(podflare_emulator._server._process.pid, 19)
    podflare_emulator._server._given_up = "it did not answer"

def test_at_last(prepared, client):
    use(prepared, client)
"""
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    result.assert_outcomes(passed=7, errors=2, warnings=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_kills*",
            "the server's process has ended*; *do not kill this process's children*",
            "The next test that needs one gets a new server; *",
            "*ERROR at teardown of test_gives_it_up*",
            "*given up: it did not answer*",
            "*test_the_next_test*.py::test_kills_without_a_fixture",
            "*the Podflare emulator's server has ended during this test; do not kill it.",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_the_last_test_kills_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        _KILLING
        + """
def test_kills(prepared, client, podflare_emulator):
    kill_all_children()
"""
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1, errors=1)
