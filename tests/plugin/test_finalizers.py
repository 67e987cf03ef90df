"""Objects of a test's that use the emulator when they are collected, in whatever thread the collector runs."""

from __future__ import annotations

import pytest

_CLOSES = """
import time
import pytest
from podflare import Sandbox

class Tool:
    def __init__(self):
        self.sandbox = Sandbox()
        self.me = self

    def __del__(self):
        self.sandbox.close()

def test_many(podflare_emulator):
    for _ in range(150):
        began = time.monotonic()
        Tool()
        assert time.monotonic() - began < 15, "somebody has waited for himself"
    assert len(podflare_emulator.requests()) > 150, "some were collected"
"""

_ASKS = """
import gc

class Watcher:
    def __init__(self, emulator):
        self.emulator, self.me = emulator, self

    def __del__(self):
        try:
            self.emulator.execs()
        except Exception as error:
            assert "own thread" in str(error)

def test_many(podflare_emulator, podflare_sandbox):
    threshold = gc.get_threshold()
    gc.set_threshold(50)  # so that the server's thread, where there is one, collects as well
    for number in range(50):
        Watcher(podflare_emulator)
        podflare_sandbox.run_code("print(1)")
    gc.set_threshold(*threshold)
"""


@pytest.mark.parametrize("server", ["process", "thread"])
@pytest.mark.parametrize("test", [_CLOSES, _ASKS], ids=["closes a sandbox", "asks the emulator"])
def test_a_finalizer(pytester: pytest.Pytester, server: str, test: str) -> None:
    pytester.makepyfile(test)
    result = pytester.runpytest_subprocess(
        "-p", "no:randomly", "-W", "ignore", f"--podflare-server={server}", timeout=120
    )
    result.assert_outcomes(passed=1)
