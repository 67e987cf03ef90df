"""`target="both"`: a test runs on the emulator and on the real API, and must see the same on both.

Emulators stand for the real API.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from podflare_emulator import Emulator

from ..matrix import LONG

pytestmark = LONG

_TEST = """
import pytest
from podflare import Sandbox
from pytest_podflare import prepared_sandbox

pytestmark = pytest.mark.podflare(target="both")

@prepared_sandbox
def prepared(sandbox):
    sandbox.run_code("x = 20")

def agent():
    with Sandbox() as parent:
        left, right = parent.fork(2)
        right.run_code("print('right')")
        left.upload(b"data", "/root/file")
        said = left.run_code("print('first')\\nprint('answer')").stdout
        left.close()
        right.close()
    return said

@pytest.mark.parametrize("times", [1, 2])
def test_agent(podflare_sandboxes, prepared, times):
    assert prepared.run_code(f"print(x * {times})").stdout == str(20 * times)
    agent()
"""


@pytest.fixture
def real() -> Iterator[Emulator]:
    with Emulator(api_keys=("pk_real",), isolation="portable") as emulator:
        yield emulator


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, real: Emulator) -> pytest.Pytester:
    monkeypatch.setenv("PODFLARE_API_KEY", "pk_real")
    monkeypatch.setenv(
        "PYTEST_ADDOPTS",
        f"{os.environ['PYTEST_ADDOPTS']} -p no:randomly --podflare-isolation=portable --podflare-url={real.url}",
    )
    return pytester


def test_without_a_url_it_runs_on_the_emulator(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_TEST)
    pytester.runpytest_subprocess("--podflare-isolation=portable").assert_outcomes(passed=2)


def test_it_runs_on_each(run: pytest.Pytester, real: Emulator) -> None:
    run.makepyfile(_TEST)
    result = run.runpytest_subprocess("-v")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        [f"*::test_agent[[]{name}[]] PASSED*" for name in ("1-emulator", "1-real", "2-emulator", "2-real")]
    )
    assert real.reset() == []


@pytest.mark.beside("xdist")
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["", "xdist"])
def test_a_result_that_differs_fails_the_second(
    run: pytest.Pytester, real: Emulator, workers: tuple[str, ...]
) -> None:
    run.makepyfile(_TEST)
    real.stub("print('answer')", stdout="first\nanother answer")
    result = run.runpytest_subprocess(*workers, "-k", "1-")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "passed on both, but what it saw differs",
            "sandbox 3, python: print('first') print('answer')",
            "  stdout, line 2:",
        ]
    )
    lines = result.outlines
    assert "  the emulator: answer" in lines
    assert f"  {real.url}: another answer" in lines


@pytest.mark.parametrize("order", [("-p", "no:randomly"), ("-p", "reverse")])
def test_a_test_that_passes_on_one_alone_is_told_so(
    run: pytest.Pytester, real: Emulator, order: tuple[str, ...]
) -> None:
    run.makepyfile(reverse="def pytest_collection_modifyitems(items): items.reverse()")
    run.syspathinsert()
    run.makepyfile(
        """
        import pytest

        @pytest.mark.podflare(target="both")
        def test(podflare_sandbox):
            assert podflare_sandbox.run_code("print(6 * 7)").stdout == "42"
        """
    )
    real.stub("6 * 7", stdout="54")
    result = run.runpytest_subprocess(*order)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*passed on the emulator*", "sandbox 1, python: print(6 * 7)"])
    result.stdout.fnmatch_lines([f"*failed on {real.url}*"])


def test_what_differs_by_nature_is_left_out_on_request(run: pytest.Pytester) -> None:
    run.makepyfile(
        """
        import pytest

        @pytest.mark.podflare(target="both", compare="outcome")
        def test(podflare_sandbox):
            assert podflare_sandbox.run_code("print(id(object()), __import__('os').urandom(8))").exit_code == 0
        """
    )
    run.runpytest_subprocess().assert_outcomes(passed=2)


def test_a_method_of_unittest_is_refused(run: pytest.Pytester) -> None:
    run.makepyfile(
        """
        import unittest
        import pytest

        @pytest.mark.usefixtures("podflare_emulator")
        class Test(unittest.TestCase):
            @pytest.mark.podflare(target="both")
            def test(self): ...
        """
    )
    result = run.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*target='both' needs a test function*"])


def test_for_the_emulator_or_the_real_api_alone(
    run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.makepyfile(
        """
        import pytest

        @pytest.mark.podflare(target="emulator")
        def test_emulator(podflare_sandbox): ...

        @pytest.mark.podflare(target="real")
        def test_real(podflare_sandbox): ...
        """
    )
    result = run.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*only for the emulator, but the tests run against http*"])
    monkeypatch.setenv("PYTEST_ADDOPTS", os.environ["PYTEST_ADDOPTS"].partition(" --podflare")[0])
    result = run.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*only for a real API: give --podflare-url URL*"])
