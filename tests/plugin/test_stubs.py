"""Stubs by marker and by conftest.py."""

from __future__ import annotations

import pytest

from podflare_emulator import Emulator

from ..matrix import SLOW

_DEFAULTS = """
import pytest

@pytest.fixture(scope="session")
def podflare_stubs():
    return {"pip install": "by default", "ask(": {"stderr": "refused", "exit_code": 7}}

@pytest.fixture(scope="session")
def podflare_commands():
    return {"aws": "from the cloud, by default"}
"""


@SLOW
def test_the_marker_stubs_commands_and_takes_functions(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.podflare(
            stubs={"ask(": lambda call: call.code.upper()},
            commands={"pip": "Done", "aws": {"match": "s3", "exit_code": 7}},
        )
        def test_stubbed(podflare_emulator, podflare_sandbox):
            assert podflare_sandbox.run_code("ask(1)").stdout == "ASK(1)"
            assert podflare_sandbox.run_code("pip install x; aws s3 ls || echo $?", "bash").stdout == "Done\\n7"
            podflare_emulator.assert_all_stubs_used()

        def test_other(podflare_sandbox):
            assert podflare_sandbox.run_code("aws", "bash").exit_code == 127
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=2)


@SLOW
def test_a_conftests_stubs_are_every_tests_under_its_own(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(_DEFAULTS)
    pytester.makepyfile(
        """
        import pytest

        def test_by_default(podflare_emulator, podflare_sandbox):
            assert podflare_sandbox.run_code("pip install x", "bash").stdout == "by default"
            assert podflare_sandbox.run_code("aws", "bash").stdout == "from the cloud, by default"
            podflare_emulator.assert_all_stubs_used()  # of which there are none

        @pytest.mark.podflare(stubs={"pip install": "by marker"}, commands={"aws": "by marker"})
        def test_by_marker(podflare_emulator, podflare_sandbox):
            assert podflare_sandbox.run_code("pip install x", "bash").stdout == "by marker"
            assert podflare_sandbox.run_code("aws", "bash").stdout == "by marker"
            assert podflare_sandbox.run_code("ask()").exit_code == 7

        def test_by_handle(podflare_emulator, podflare_sandbox):
            podflare_emulator.stub("install", stdout="by handle", times=1)
            said = [podflare_sandbox.run_code("pip install x", "bash").stdout for _ in range(2)]
            assert said == ["by handle", "by default"]

        class TestOnce:
            @pytest.fixture(scope="class")
            def podflare_stubs(self, podflare_stubs):
                return {**podflare_stubs, "ask(": "in this class"}

            def test_nearer(self, podflare_sandbox):
                assert podflare_sandbox.run_code("ask()").stdout == "in this class"
                assert podflare_sandbox.run_code("pip install x", "bash").stdout == "by default"
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=4)


@SLOW
def test_what_is_prepared_for_many_tests_has_the_defaults_and_none_of_the_first_tests(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(_DEFAULTS)
    pytester.makepyfile(
        """
        import pytest
        from pytest_podflare import prepared_sandbox

        @prepared_sandbox
        def ready(sandbox):
            sandbox.run_code("pip install x > /root/log; aws >> /root/log", "bash")
            sandbox.run_code("aws >> /root/log; echo real >> /root/log", "bash")

        @pytest.mark.podflare(stubs={"echo real": "the test's"}, commands={"aws": "the test's"})
        def test_first(ready):
            assert ready.run_code("cat /root/log; aws", "bash").stdout.splitlines() == [
                "from the cloud, by default", "real", "the test's"
            ]
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_fixture_that_is_no_dict_is_told_so(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef podflare_commands(): return ['pip']")
    pytester.makepyfile("def test(podflare_sandbox): ...")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*fixture podflare_commands: expected a dict such as {'pip': 'Done'}, got *"]
    )


@SLOW
def test_another_server_is_not_stubbed(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(_DEFAULTS)
    pytester.makepyfile(
        """
        import pytest

        def test_defaults(podflare_sandbox):
            assert podflare_sandbox.run_code("echo pip install", "bash").stdout == "pip install"

        @pytest.mark.podflare(commands={"pip": "Done"})
        def test_marked(podflare_sandbox): ...
        """
    )
    with Emulator(isolation="portable") as server:
        result = pytester.runpytest_subprocess(f"--podflare-url={server.url}", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*only the emulator takes files, variables and stubs*"])
