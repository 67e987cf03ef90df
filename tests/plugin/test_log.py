"""`--podflare-log`: what the server has logged is in the report of a test that has failed."""

from __future__ import annotations

import pytest

from ..matrix import SLOW, servers

_FAILING = """
import logging.config

import pytest
from podflare import NotFoundError, Sandbox

def test_passes(podflare_sandbox):
    podflare_sandbox.run_code("1")

def test_that_captures_its_log_has_its_own_lines_alone(podflare_sandbox, caplog):
    caplog.set_level("DEBUG")
    podflare_sandbox.run_code("1")
    assert not [record for record in caplog.records if record.name == "podflare_emulator"]

def test_fails(podflare_sandbox):
    podflare_sandbox.fork()[0].close()
    logging.config.dictConfig({"version": 1})  # which disables loggers that it does not know, until the test ends
    assert False

def test_fails_after(podflare_sandbox):
    assert False
"""


@SLOW
@pytest.mark.parametrize("server", servers())
def test_the_lines_of_the_failing_test_are_a_section(pytester: pytest.Pytester, server: str) -> None:
    pytester.makepyfile(_FAILING)
    result = pytester.runpytest_subprocess(
        "--podflare-log=info", f"--podflare-server={server}", "-p", "no:randomly", "-p", "no:xdist"
    )
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.no_fnmatch_line("*Captured log*")
    sections = "\n".join(result.outlines).split(" Podflare log ")[1:]
    assert len(sections) == 2
    assert "INFO POST /v1/sandboxes 200" in sections[1]
    assert "/exec" not in "".join(sections), "that was another test's"


@SLOW
def test_by_default_there_is_none(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test(podflare_sandbox): assert False")
    result = pytester.runpytest_subprocess()
    result.stdout.no_fnmatch_line("*Podflare log*")


@SLOW
def test_what_makes_a_fixture_fail_is_told_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_podflare import prepared_sandbox

        @prepared_sandbox
        def broken(sandbox):
            sandbox.run_code("1 / 0")

        def test(broken): ...
        """
    )
    result = pytester.runpytest_subprocess("--podflare-log=info")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*- Podflare journal -*", "*1 / 0 (exit 1*", "*- Podflare log -*", "*/exec 200*"]
    )


def test_a_programs_captured_log_holds_none_of_the_servers_lines_unless_asked_for(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import logging

        def servers(caplog):
            return [r for r in caplog.records if r.name.partition(".")[0] in ("podflare_emulator", "uvicorn")]

        def test_by_default(caplog, request):
            caplog.set_level("INFO")
            sandbox = request.getfixturevalue("podflare_sandbox")  # which starts the server
            sandbox.run_code("1")
            logging.getLogger("uvicorn.error").info("of a server of the program's own")
            assert [r.message for r in servers(caplog)] == ["of a server of the program's own"]

        def test_asked_for(caplog, podflare_sandbox):
            caplog.set_level("INFO", logger="podflare_emulator")
            for _ in range(2):  # a line follows its answer, and comes before the connection's next
                podflare_sandbox.run_code("1")
            assert any("/exec 200" in record.message for record in servers(caplog))
        """
    )
    result = pytester.runpytest_subprocess(
        "-p", "no:randomly", "--log-level=INFO", "--podflare-server=thread"
    )
    result.assert_outcomes(passed=2)
