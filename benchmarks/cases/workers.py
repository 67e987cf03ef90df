"""A test suite on several workers of pytest-xdist, with an emulator each or one for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from bench import Bench, Skipped, case
from programs import PLUGIN, run_pytest, started, test_directory

_TESTS = 1_000
_FEW = 200
_WORKERS = (1, 2, 4)

# What tests of an agent do: some code, a file, a fork.
_SUITE = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_agent(podflare_sandbox, number):
    sandbox = podflare_sandbox
    sandbox.run_code(f"x = {{number}}; open('/root/x', 'w').write(str(x))")
    assert sandbox.run_code("cat /root/x", language="bash").stdout == str(number)
    if number % 5 == 0:
        with sandbox.fork(1)[0] as child:
            assert child.run_code("print(x + 1)").stdout == str(number + 1)
"""


@case(quick=False, on_server=False, seconds=400)
def workers(bench: Bench) -> None:
    if find_spec("xdist") is None:
        raise Skipped("pytest-xdist is not installed")
    count = _TESTS if bench.full else _FEW
    isolation = ("--podflare-isolation", bench.isolation)
    with test_directory(test_agents=_SUITE.format(count=count)) as directory:
        for number in _WORKERS:
            options = (*PLUGIN, "-p", "xdist.plugin", "-n", str(number))
            for stopwatch in bench.repeat(
                f"{count:,} tests, {number} workers, an emulator each", ("an emulator each", number), most=3
            ):
                with stopwatch:
                    run_pytest(directory, (*options, *isolation))
            for stopwatch in bench.repeat(
                f"{count:,} tests, {number} workers, one emulator for all", ("one for all", number), most=3
            ):
                with _shared(bench.isolation) as url, stopwatch:
                    run_pytest(directory, (*options, "--podflare-url", url))


@contextmanager
def _shared(isolation: str) -> Iterator[str]:
    """The URL of an emulator in a process of its own, as a container service is."""
    words = ("-m", "podflare_emulator", "--port", "0", "--isolation", isolation)
    with started(*words) as output:
        yield output.readline().split()[-1]
