"""The server starts when collection ends: what fixtures and tests patch, the first one's too, comes after."""

from __future__ import annotations

import pytest

from ..matrix import SLOW

_SANDBOX = """
def test_sandbox(podflare_sandbox):
    assert podflare_sandbox.run_code("print(1)").stdout == "1"
"""


@SLOW
@pytest.mark.beside("fakefs")
@pytest.mark.parametrize("scope", ["class", "module", "session"])
def test_pyfakefs_of_a_wider_scope(pytester: pytest.Pytester, scope: str) -> None:
    test = """
        def test_config(self, fs_{scope}, podflare_emulator):
            fs_{scope}.create_file("/etc/app.toml", contents="x=1")

        def test_beside(self, fs_{scope}, podflare_sandbox):
            assert podflare_sandbox.run_code("print(1)").stdout == "1"
    """
    pytester.makepyfile(test_a="class Test:" + test.format(scope=scope), test_b=_SANDBOX)
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=3)


@pytest.mark.beside("pytest-subprocess")
def test_pytest_subprocess_for_the_session(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest
        from pytest_subprocess import FakeProcess

        @pytest.fixture(scope="session", autouse=True)
        def no_processes():
            with FakeProcess() as fake:
                yield fake
        """
    )
    pytester.makepyfile(_SANDBOX)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


@SLOW
@pytest.mark.beside("socket")
def test_a_first_test_without_sockets(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.disable_socket
        def test_pure(podflare_emulator): ...
        """
        + _SANDBOX.replace("\n", "\n        ")
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=2)


_STARTS = """
import pytest
from pytest_podflare.targets import emulator

def _told(self, launch=emulator.SessionEmulator.launch):
    with open("starts", "a") as file:
        file.write("1")
    launch(self)

emulator.SessionEmulator.launch = _told
"""


@SLOW
@pytest.mark.parametrize(
    ("arguments", "starts"),
    [
        ((), 1),
        (("--collect-only",), 0),
        (("-k", "plain"), 0),
        pytest.param(("-n", "2"), 2, marks=pytest.mark.beside("xdist")),
        (("-k", "dynamic"), 1),
    ],
    ids=["all", "collect-only", "unused", "xdist", "dynamic"],
)
def test_it_starts_where_a_test_needs_it(
    pytester: pytest.Pytester, arguments: tuple[str, ...], starts: int
) -> None:
    pytester.makeconftest(_STARTS)
    pytester.makepyfile(
        _SANDBOX
        + """
def test_plain(): ...

def test_dynamic(request):
    request.getfixturevalue("podflare_emulator")
"""
    )
    assert pytester.runpytest_subprocess(*arguments).ret == 0
    told = pytester.path / "starts"
    assert (len(told.read_text(encoding="utf-8")) if told.exists() else 0) == starts


@SLOW
def test_who_does_not_need_it_does_not_wait_for_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(_STARTS.replace(".launch", ".start").replace("launch", "start"))
    pytester.makepyfile(
        """
        from pathlib import Path

        def test_plain():
            assert not Path("starts").exists()

        def test_sandbox(podflare_sandbox):
            assert Path("starts").exists()
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=2)


@SLOW
def test_a_start_that_fails_is_tried_again_by_the_next_test(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from podflare_emulator import EmulatorError
        from pytest_podflare.targets.emulator import SessionEmulator

        left = [1]

        def start(self, start=SessionEmulator.start):
            if left and left.pop():
                raise EmulatorError("no way")
            start(self)

        SessionEmulator.start = start
        """
    )
    pytester.makepyfile("def test_first(podflare_emulator): ...\ndef test_second(podflare_emulator): ...\n")
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["the Podflare emulator cannot start: no way"])
