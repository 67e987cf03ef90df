"""A reset in the middle of a test forgets what the test has arranged, and not what the session has."""

from __future__ import annotations

import pytest

from ..matrix import SLOW

CONFTEST = """
import pytest
from pytest_podflare import prepared_sandbox

@pytest.fixture(scope="session")
def podflare_stubs():
    return {"import openai": "nobody is asked"}

@pytest.fixture(scope="session")
def podflare_commands():
    return {"pip": "nothing is installed"}

@prepared_sandbox
def counted(sandbox):
    sandbox.run_code("n = 1")
"""


@SLOW
def test_what_the_session_has_is_there_after_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        import pytest
        from podflare import NotFoundError, Sandbox

        @pytest.mark.parametrize("time", range(2))
        @pytest.mark.podflare(files={"/data/x": "1"}, stubs={"train": "trained"}, faults={"fork": 503})
        def test(podflare_emulator, podflare_sandbox, counted, time):
            assert podflare_sandbox.id in podflare_emulator.reset()
            with pytest.raises(NotFoundError):
                counted.run_code("print(n)")
            with Sandbox() as fresh, fresh.fork(1)[0] as child:
                assert child.run_code("import openai").stdout == "nobody is asked"
                assert child.run_code("pip install x", "bash").stdout == "nothing is installed"
                assert child.run_code("train()").exit_code == 1
                assert child.run_code("cat /data/x", "bash").exit_code == 1

        def test_after_it(podflare_sandbox):
            assert podflare_sandbox.run_code("import openai").stdout == "nobody is asked"
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=3)


def test_the_options_hold_after_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import httpx

        def test(podflare_emulator):
            podflare_emulator.reset()
            httpx.get(f"{podflare_emulator.url}/nowhere")
            assert "/nowhere" in "".join(podflare_emulator.log)
        """
    )
    pytester.runpytest_subprocess("--podflare-log=info").assert_outcomes(passed=1)
