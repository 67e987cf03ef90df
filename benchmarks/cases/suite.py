"""What a test suite pays for a sandbox of its own in every test."""

from __future__ import annotations

from bench import Bench, case
from programs import PLUGIN, run_pytest, test_directory

_TESTS = 100

_WITH = f"""
import pytest

@pytest.mark.parametrize("number", range({_TESTS}))
def test_sum(podflare_sandbox, number):
    assert podflare_sandbox.run_code(f"print({{number}} + 1)").stdout == str(number + 1)
"""

_WITHOUT = f"""
import pytest

@pytest.mark.parametrize("number", range({_TESTS}))
def test_sum(number):
    assert number + 1 == number + 1
"""


@case(on_server=False)
def suite(bench: Bench) -> None:
    isolation = ("--podflare-isolation", bench.isolation)
    with test_directory(test_sums=_WITH) as directory:
        for server in ("thread", "process"):
            for stopwatch in bench.repeat(
                f"{_TESTS} tests with a sandbox each, server in a {server}", most=5
            ):
                with stopwatch:
                    run_pytest(directory, (*PLUGIN, *isolation, "--podflare-server", server))
    with test_directory(test_sums=_WITHOUT) as directory:
        for stopwatch in bench.repeat(f"{_TESTS} tests without a sandbox", most=5):
            with stopwatch:
                run_pytest(directory, PLUGIN)
