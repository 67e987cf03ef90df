"""A test that leaves a sandbox open is told which, and where it was made."""

from __future__ import annotations

import pytest

_LEAKING = """
from podflare import Sandbox

def test(podflare_sandbox):
    with Sandbox() as closed:
        winner, loser = closed.fork(2)
        closed.merge_into(winner)
    left = Sandbox()
    print("left open:", left.id)
"""


@pytest.fixture
def leaking(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_it=_LEAKING)
    return pytester


@pytest.mark.parametrize("server", ["thread", "process"])
def test_by_default_each_is_a_warning_that_points_at_its_making(
    leaking: pytest.Pytester, server: str
) -> None:
    result = leaking.runpytest_subprocess("-rP", f"--podflare-server={server}")
    result.assert_outcomes(passed=1, warnings=2)
    left = next(line for line in result.outlines if line.startswith("left open:")).split()[-1]
    result.stdout.fnmatch_lines(
        [
            "*test_it.py:5: SandboxLeakWarning: sandbox sbx_* was left open, made at test_it.py:5;*",
            f"*test_it.py:7: SandboxLeakWarning: sandbox {left} was left open, made at test_it.py:7;*",
        ]
    )


def test_as_an_error_they_fail_the_teardown_in_one_list(leaking: pytest.Pytester) -> None:
    result = leaking.runpytest_subprocess("--podflare-leaks=error")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "2 sandbox(es) left open; close them*",
            "  sbx_*, made at test_it.py:5",
            "  sbx_*, made at test_it.py:7",
        ]
    )


def test_they_can_be_ignored(leaking: pytest.Pytester) -> None:
    leaking.makeini("[pytest]\npodflare_leaks = ignore\nfilterwarnings = error::pytest.PytestWarning")
    leaking.makepyfile(test_it=_LEAKING + "    left._shared_client.client.close()\n")
    leaking.runpytest_subprocess().assert_outcomes(passed=1)


def test_one_that_another_program_made_is_told_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from urllib.request import Request, urlopen

        def test(podflare_emulator):
            url = podflare_emulator.url + "/v1/sandboxes"
            urlopen(Request(url, b"{}", {"Content-Type": "application/json"}))
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*was left open, made by a program of its own*"])
