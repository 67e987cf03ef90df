"""A clock that stands before the first fixture is set up, and so before there is a server."""

from __future__ import annotations

import pytest

from ..matrix import LONG, servers

pytestmark = LONG


_TEST = """
def test_one(podflare_sandbox):
    assert podflare_sandbox.run_code("print(1)").stdout == "1"

def test_two(podflare_sandbox):
    assert podflare_sandbox.run_code("print(1)").stdout == "1"
"""

_WITHOUT_UVLOOP = "import sys; sys.modules['uvloop'] = None  # whose clock is in C"

_FREEZES = {
    "freezegun in pytest_configure": """
        from freezegun import freeze_time

        def pytest_configure(config):
            freeze_time("2020-01-01").start()
    """,
    "freezegun in a session fixture": """
        import pytest
        from freezegun import freeze_time

        @pytest.fixture(scope="session", autouse=True)
        def frozen():
            with freeze_time("2020-01-01"):
                yield
    """,
    "time.monotonic patched": """
        import pytest
        from unittest.mock import patch

        @pytest.fixture(scope="session", autouse=True)
        def frozen():
            with patch("time.monotonic", lambda: 5.0), patch("time.time", lambda: 5.0):
                yield
    """,
    "time-machine in a session fixture": """
        import pytest, time_machine

        @pytest.fixture(scope="session", autouse=True)
        def frozen():
            with time_machine.travel(0, tick=False):
                yield
    """,
}


@pytest.mark.parametrize("server", servers())
@pytest.mark.parametrize("freeze", _FREEZES)
def test_it_starts_and_serves(pytester: pytest.Pytester, server: str, freeze: str) -> None:
    pytest.importorskip("freezegun")
    pytest.importorskip("time_machine")
    pytester.makeconftest(_FREEZES[freeze])
    pytester.makepyfile(without_uvloop=_WITHOUT_UVLOOP, test_it=_TEST)
    result = pytester.runpytest_subprocess("-p", "without_uvloop", f"--podflare-server={server}", timeout=60)
    result.assert_outcomes(passed=2)
