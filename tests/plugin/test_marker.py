"""`@pytest.mark.podflare(...)` arranges the emulator for a test."""

from __future__ import annotations

import pytest

from podflare_emulator.emulator import Emulator


@pytest.mark.parametrize("server", ["thread", "process"])
def test_files_are_in_the_tests_sandboxes_and_in_no_other_tests(
    pytester: pytest.Pytester, server: str
) -> None:
    pytester.makepyfile(
        test_it="""
        from pathlib import Path

        import pytest
        from podflare import Sandbox
        from pytest_podflare import prepared_sandbox

        pytestmark = pytest.mark.podflare(files={"/data/all": "of the module", "/data/one": "of the module"})

        @prepared_sandbox
        def prepared(sandbox):
            sandbox.run_code("import os; there = os.path.exists('/data/all')")

        @pytest.mark.podflare(files={"/data/one": "of the test", "/tests": Path(__file__).parent})
        def test_one(podflare_sandbox, prepared):
            assert podflare_sandbox.download("/data/all") == b"of the module"
            assert podflare_sandbox.download("/data/one") == b"of the test"
            assert podflare_sandbox.download("/tests/test_it.py") == Path(__file__).read_bytes()
            assert prepared.run_code("print(there)").stdout == "False", "it outlives this test"
            with Sandbox() as another:
                assert another.download("/data/one") == b"of the test"

        def test_two(podflare_sandbox):
            assert podflare_sandbox.download("/data/one") == b"of the module"
            assert podflare_sandbox.run_code("ls /tests", "bash").exit_code != 0
        """
    )
    result = pytester.runpytest_subprocess(
        "--strict-markers", f"--podflare-server={server}", "-p", "no:randomly"
    )
    result.assert_outcomes(passed=2)


def test_stubs_answer_in_the_test_and_in_no_other(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.podflare(stubs={"pip install": "Done", "curl": {"stderr": "refused", "exit_code": 7}})
        def test_stubbed(podflare_sandbox):
            assert podflare_sandbox.run_code("pip install x", "bash").stdout == "Done"
            result = podflare_sandbox.run_code("curl -s http://example", "bash")
            assert (result.stderr, result.exit_code) == ("refused", 7)

        def test_other(podflare_sandbox):
            assert podflare_sandbox.run_code("echo pip install x", "bash").stdout == "pip install x"
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=2)


def test_the_leak_policy_can_be_a_tests_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from podflare import Sandbox

        @pytest.mark.podflare(leaks="error")
        def test_strict(podflare_emulator):
            Sandbox()

        def test_other(podflare_emulator):
            Sandbox()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly", "--podflare-leaks=ignore")
    result.assert_outcomes(passed=2, errors=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("fils={}", "unknown name 'fils'; did you mean files?"),
        ("colour='red'", "unknown name 'colour'; there are files, stubs, leaks"),
        ("'/data/x'", "takes names only, such as files={...}, got '/data/x'"),
        ("files=['/data/x']", "files: expected a dict such as *, got ['/data/x']"),
        ("stubs='pip'", "stubs: expected a dict such as {'pip install': 'Done'}, got 'pip'"),
        ("leaks='warning'", "leaks: expected ignore, warn, error, got 'warning'"),
    ],
)
def test_a_mistake_ends_the_run_at_collection(
    pytester: pytest.Pytester, arguments: str, message: str
) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.podflare({arguments})
        def test(podflare_sandbox): ...
        """
    )
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*py::test: @pytest.mark.podflare: {message.replace('[', '[[]')}"])


def test_a_marked_test_without_a_fixture_of_podflares_is_told_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.podflare(files={"/data/x": ""})
        def test(): ...
        """
    )
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*the test uses none of Podflare's fixtures; add podflare_emulator to it"])


def test_files_cannot_be_put_into_another_servers_sandboxes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.podflare(files={"/data/x": ""})
        def test(podflare_sandbox): ...
        """
    )
    with Emulator(isolation="portable") as server:
        result = pytester.runpytest_subprocess(f"--podflare-url={server.url}", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*only the emulator takes files and stubs*"])
