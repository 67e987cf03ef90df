"""A server that is stuck: pytest-timeout ends the test, and the run ends."""

from __future__ import annotations

import psutil
import pytest

from ..matrix import LONG

pytestmark = [LONG, pytest.mark.beside("timeout")]

_STUCK = """
import os, signal
import pytest

@pytest.mark.timeout(1, func_only=True)
def test_stuck(podflare_emulator):
    server = podflare_emulator._server._process.pid
    open("server", "w").write(str(server))
    os.kill(server, signal.SIGSTOP)
    podflare_emulator.execs()

def test_without():
    pass
"""


@pytest.fixture(autouse=True)
def short_bound(pytester: pytest.Pytester) -> None:
    """Of control calls: the run is to have ended within this suite's patience."""
    pytester.makepyfile(
        short_bound="from podflare_emulator.handle.server import channel, process\nchannel.CALL, process.STOP = 5, 2\n"
    )


def test_by_signal(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_STUCK)
    result = pytester.runpytest_subprocess(
        "-p", "short_bound", "-p", "no:randomly", "-o", "timeout_method=signal", timeout=120
    )
    outcomes = result.parseoutcomes()
    assert (outcomes["failed"], outcomes["passed"]) == (1, 1)
    result.stdout.fnmatch_lines(["*Timeout*"])


def test_by_thread(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_STUCK)
    result = pytester.runpytest_subprocess(
        "-p", "short_bound", "-p", "no:randomly", "-o", "timeout_method=thread", timeout=120
    )
    stopped = psutil.Process(int((pytester.path / "server").read_text()))
    stopped.resume()
    stopped.wait(60)
    assert result.ret == 1
    assert "Timeout" in result.stderr.str() + result.stdout.str()


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_a_start_that_takes_for_ever(pytester: pytest.Pytester, method: str) -> None:
    pytester.makeconftest(
        "from podflare_emulator.handle.server import process\n"
        "process._PROGRAM = 'import sys; sys.stdin.buffer.read()'\n"
    )
    pytester.makepyfile("def test(podflare_sandbox):\n    pass\n")
    result = pytester.runpytest_subprocess(
        "-p", "short_bound", "--timeout=2", f"--timeout-method={method}", timeout=120
    )
    assert result.ret == 1
    assert "Timeout" in result.stderr.str() + result.stdout.str()
