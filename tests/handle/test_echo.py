"""The value of a last expression: silent by default, printed where somebody wants it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from podflare import Sandbox
from podflare_emulator import Emulator, EmulatorError

from ..matrix import SLOW
from ..serving import serving


@pytest.fixture(params=["live", "replay"])
def echoing(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with serving("auto", fork=request.param, echo_last_expression=True) as emulator:
        yield emulator


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("6 * 7", "42"),
        ("x = 'a'\nx", "'a'"),
        ("  y = 1\n  y  # why; not", "1"),
        ("print(1)\n[\n  2,\n]", "1\n[2]"),
        ("'é';", ""),
        ("(3);", ""),
        ("None", ""),
        ("x = 4", ""),
        ("if True:\n    5", ""),
        ("import sys\nsys.displayhook = lambda value: print('hook', value)\n6", "hook 6"),
    ],
)
def test_what_is_printed(sandbox: Sandbox, code: str, printed: str) -> None:
    result = sandbox.run_code(code)
    assert (result.stdout, result.stderr, result.exit_code) == (printed, "", 0)


@pytest.fixture(scope="module")
def echoing_server() -> Iterator[Emulator]:
    with serving("auto", echo_last_expression=True) as emulator:
        yield emulator


@pytest.fixture
def sandbox(echoing_server: Emulator) -> Iterator[Sandbox]:
    with Sandbox(host=echoing_server.url) as sandbox:
        yield sandbox


def test_errors_are_those_of_code_that_is_not_echoed(sandbox: Sandbox) -> None:
    failed = sandbox.run_code("x = 1\n1 / 0")
    assert failed.exit_code == 1
    assert 'File "<exec-1>", line 2, in <module>\n    1 / 0\n' in failed.stderr
    assert "SyntaxError" in sandbox.run_code("1 +").stderr
    assert sandbox.run_code("raise SystemExit(3)").exit_code == 3


@SLOW
def test_children_echo_too(echoing: Emulator) -> None:
    with Sandbox(host=echoing.url) as parent:
        parent.run_code("x = 1\nx")
        (child,) = parent.fork(1)
        assert child.run_code("x").stdout == "1"
        child.close()


@SLOW
def test_by_default_nothing_is_printed_and_a_test_may_want_it_until_the_reset() -> None:
    with serving("auto") as emulator:
        assert not emulator.echo_last_expression
        with Sandbox(host=emulator.url) as silent:
            emulator.echo_last_expression = True
            with Sandbox(host=emulator.url) as echoing:
                assert (silent.run_code("1").stdout, echoing.run_code("1").stdout) == ("", "1")
        emulator.reset()
        assert not emulator.echo_last_expression
        with Sandbox(host=emulator.url) as again:
            assert again.run_code("1").stdout == ""
        with pytest.raises(EmulatorError, match="echo: expected true or false, got 'yes'"):
            emulator.echo_last_expression = "yes"  # type: ignore[assignment]
