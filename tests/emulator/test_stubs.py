"""Execs that a test answers itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from podflare import Sandbox
from podflare_emulator.emulator import Emulator, EmulatorError


@pytest.fixture(scope="module", params=["thread", "process"])
def server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator(server=request.param) as emulator:
        yield emulator


@pytest.fixture
def emulator(server: Emulator) -> Iterator[Emulator]:
    with server.redirect_clients():
        yield server
    server.reset()


@pytest.fixture
def sandbox(emulator: Emulator) -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def test_what_matches_is_answered_and_what_does_not_runs(emulator: Emulator, sandbox: Sandbox) -> None:
    stub = emulator.stub("pip install", stdout="Collecting x\nDone\n", stderr="a notice", exit_code=7)
    result = sandbox.run_code("touch /root/ran; pip install x", "bash")
    assert (result.stdout, result.stderr, result.exit_code) == ("Collecting x\nDone", "a notice", 7)
    assert sandbox.run_code("ls /root", "bash").stdout == ""
    assert sandbox.run_code("print(1)").stdout == "1"
    assert stub.used == 1


def test_a_stub_matches_by_regular_expression_and_language(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub(re.compile(r"^CURL\b", re.IGNORECASE | re.MULTILINE), language="bash", stdout="a page")
    assert sandbox.run_code("true\ncurl https://example", "bash").stdout == "a page"
    assert sandbox.run_code("curl = 1; print('real')").stdout == "real"
    assert sandbox.run_code("echo curl", "bash").stdout == "curl"


def test_the_newest_answers_as_often_as_it_may(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub("request()", stdout="default")
    emulator.stub("request()", stderr="503", exit_code=1, times=2)
    results = [sandbox.run_code("request()") for _ in range(3)]
    assert [(result.exit_code, result.stdout) for result in results] == [(1, ""), (1, ""), (0, "default")]


def test_forks_are_stubbed_too_and_the_journal_tells(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub("think()", stdout="thought")
    (child,) = sandbox.fork()
    with child:
        assert child.run_code("think()").stdout == "thought"
    assert [(one.sandbox, one.stdout) for one in emulator.execs(code="think")] == [(child.id, "thought")]


def test_stubs_end_with_the_test(emulator: Emulator) -> None:
    stub = emulator.stub("print", stdout="stubbed")
    emulator.reset()
    emulator.stub("another")
    with Sandbox() as sandbox:
        assert sandbox.run_code("print('real')").stdout == "real"
    with pytest.raises(EmulatorError, match="the stub 'print' is gone: the emulator was reset"):
        _ = stub.used


def test_a_stub_that_answered_nothing_is_named_with_what_ran(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub("pip install", language="bash")
    sandbox.run_code("print('pip  install')")
    with pytest.raises(AssertionError) as raised:
        emulator.assert_all_stubs_used()
    assert "no exec matched the stub(s) 'pip install' (bash)" in str(raised.value)
    assert "python: print('pip install')" in str(raised.value)
    sandbox.run_code("pip install x", "bash")
    emulator.assert_all_stubs_used()


@pytest.mark.parametrize(
    ("match", "options", "message"),
    [
        ("", {}, "expected a part of the code, or a compiled regular expression, got ''"),
        (5, {}, "got 5"),
        ("x", {"language": "perl"}, "language: expected python or bash, got 'perl'"),
        ("x", {"times": 0}, "times: expected 1 or more, got 0"),
    ],
)
def test_a_stub_that_cannot_be_meant_is_refused(
    emulator: Emulator, match: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(EmulatorError, match=re.escape(message)):
        emulator.stub(match, **options)
