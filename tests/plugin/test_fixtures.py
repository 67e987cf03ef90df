"""What a test file sees of `podflare_sandbox` and `podflare_emulator`."""

from __future__ import annotations

import pytest

from ..matrix import SLOW, servers


@SLOW
def test_one_line_is_a_test_in_an_empty_directory(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "def test(podflare_sandbox): assert podflare_sandbox.run_code('print(1)').stdout == '1'"
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


@SLOW
@pytest.mark.parametrize("server", servers())
def test_a_program_that_names_no_host_reaches_the_emulator(pytester: pytest.Pytester, server: str) -> None:
    pytester.makepyfile(
        program="""
            from podflare import Sandbox

            def answer():
                with Sandbox() as sandbox:
                    return sandbox.run_code("print(6 * 7)").stdout
        """,
        test_program="""
            from program import answer

            def test(podflare_emulator):
                assert answer() == "42"
        """,
    )
    pytester.runpytest_subprocess(f"--podflare-server={server}").assert_outcomes(passed=1)


@SLOW
def test_a_program_in_a_process_of_its_own_reaches_the_emulator(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import subprocess, sys

        PROGRAM = "from podflare import Sandbox; print(Sandbox().run_code('print(6 * 7)').stdout)"

        def test(podflare_emulator):
            assert subprocess.check_output([sys.executable, "-c", PROGRAM]) == b"42\\n"
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_company_proxy_is_not_asked_for_the_emulator(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    pytester.makepyfile(
        "def test(podflare_sandbox): assert podflare_sandbox.run_code('print(1)').stdout == '1'"
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


@SLOW
@pytest.mark.parametrize("server", servers())
def test_sandboxes_left_open_are_gone_in_the_next_test(pytester: pytest.Pytester, server: str) -> None:
    pytester.makepyfile(
        """
        import pytest
        from podflare import NotFoundError, Sandbox

        left_open = []

        def test_first(podflare_emulator):
            left_open.extend([Sandbox(), *Sandbox().fork(2)])

        def test_second(podflare_sandbox):
            for sandbox in left_open:
                with pytest.raises(NotFoundError):
                    sandbox.run_code("1")
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly", f"--podflare-server={server}").assert_outcomes(
        passed=2
    )


@SLOW
def test_the_sandbox_is_closed_when_its_test_has_failed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from podflare import SandboxClosedError

        seen = []

        def test_first(podflare_sandbox):
            seen.append(podflare_sandbox)
            assert False

        def test_second(podflare_sandbox):
            with pytest.raises(SandboxClosedError):
                seen[0].run_code("1")
            assert podflare_sandbox.run_code("print('a' in globals())").stdout == "False"
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=1, failed=1)


@SLOW
def test_the_environment_is_put_back(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODFLARE_API_KEY", "pk_mine")
    monkeypatch.delenv("PODFLARE_HOST", raising=False)
    pytester.makepyfile(
        """
        import os

        before = dict(os.environ)

        def test_inside(podflare_emulator):
            assert os.environ["PODFLARE_HOST"] == podflare_emulator.url
            assert os.environ["PODFLARE_HOSTD_URL"] == podflare_emulator.url
            assert os.environ["PODFLARE_API_KEY"] != "pk_mine"

        def test_after():
            after = dict(os.environ)
            for environment in (before, after):
                environment.pop("PYTEST_CURRENT_TEST", None)
            assert after == before
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=2)


@SLOW
def test_a_missing_sdk_is_named_with_the_line_that_installs_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import importlib.abc, sys

        class NotInstalled(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path, target=None):
                if name == "podflare":
                    raise ModuleNotFoundError("No module named 'podflare'", name="podflare")

        sys.meta_path.insert(0, NotInstalled())
        """
    )
    pytester.makepyfile(
        """
        from urllib.request import urlopen

        def test_sandbox(podflare_sandbox): ...

        def test_emulator(podflare_emulator):
            assert urlopen(podflare_emulator.url + "/v1/healthz").read() == b"ok"
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*this fixture needs a Podflare SDK; install one: pip install podflare"])
    result.stdout.no_fnmatch_line("*Traceback*")


@SLOW
@pytest.mark.beside("xdist")
def test_each_worker_of_xdist_has_a_server_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(8))
        def test(podflare_sandbox, podflare_emulator, number):
            print("served by", podflare_emulator.url)
            podflare_sandbox.run_code(f"number = {number}")
            assert podflare_sandbox.run_code("print(number)").stdout == str(number)
        """
    )
    result = pytester.runpytest_subprocess("-n", "2", "-rP")
    result.assert_outcomes(passed=8)
    assert len({line for line in result.outlines if line.startswith("served by")}) == 2
