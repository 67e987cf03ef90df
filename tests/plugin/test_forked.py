"""Tests that fork: a child uses the emulator of its parent, and its end ends nothing of that."""

from __future__ import annotations

import pytest

from ..matrix import SLOW

_FORKED = """
import pytest

def test_before(podflare_sandbox):
    pass

@pytest.mark.forked
def test_forked(podflare_emulator, podflare_sandbox):
    podflare_emulator.stub("deploy", stdout="done")
    assert podflare_sandbox.run_code("deploy()").stdout == "done"

def test_after(podflare_emulator, podflare_sandbox):
    assert podflare_sandbox.run_code("print(1)").stdout == "1"
    assert len(podflare_emulator.execs()) == 1
"""


@pytest.fixture
def pytest_forked(pytester: pytest.Pytester) -> None:
    plain = pytester.makepyfile(test_plain="import pytest\n\n@pytest.mark.forked\ndef test(): pass\n")
    outcomes = pytester.runpytest_subprocess("-p", "no:randomly").parseoutcomes()
    plain.unlink()
    if outcomes != {"passed": 1}:
        pytest.skip(
            f"the pytest-forked that is installed cannot run a test under pytest {pytest.__version__}"
        )


@SLOW
@pytest.mark.beside("pytest_forked")
@pytest.mark.usefixtures("pytest_forked")
@pytest.mark.parametrize("first", [False, True])
def test_pytest_forked(pytester: pytest.Pytester, first: bool) -> None:
    """Also where the server is started in the child."""
    pytester.makepyfile(
        _FORKED.replace("def test_before(podflare_sandbox)", "def test_before()") if first else _FORKED
    )
    pytester.runpytest_subprocess("-p", "no:randomly", timeout=60).assert_outcomes(passed=3)


@SLOW
def test_a_child_that_runs_a_whole_test(pytester: pytest.Pytester) -> None:
    """What pytest-forked does, under every pytest: set up, call and tear down, the session's fixtures too."""
    pytester.makeconftest(
        """
        import os
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item):
            if item.name != "test_forked":
                return None
            child = os.fork()
            if not child:
                try:
                    passed = all(report.passed for report in runtestprotocol(item, log=False))
                except BaseException:
                    passed = False
                os._exit(0 if passed else 1)
            _, status = os.waitpid(child, 0)
            assert status == 0
            return True
        """
    )
    pytester.makepyfile(_FORKED.replace("@pytest.mark.forked", ""))
    pytester.runpytest_subprocess("-p", "no:randomly", timeout=60).assert_outcomes(passed=2)


@SLOW
def test_a_child_of_multiprocessings(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import multiprocessing
        from podflare import Sandbox

        def work(results, emulator):
            with Sandbox() as sandbox:
                results.put((sandbox.run_code("print(1)").stdout, len(emulator.execs())))

        def test(podflare_emulator):
            forking = multiprocessing.get_context("fork")
            results = forking.Queue()
            child = forking.Process(target=work, args=(results, podflare_emulator))
            child.start()
            assert results.get(timeout=30) == ("1", 1)
            child.join()
            assert len(podflare_emulator.execs()) == 1
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly", timeout=60).assert_outcomes(passed=1)


@pytest.mark.beside("pytest_forked")
@pytest.mark.usefixtures("pytest_forked")
def test_a_child_that_asks_while_the_parents_server_starts(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.forked
        def test_forked(request):
            sandbox = request.getfixturevalue("podflare_sandbox")
            assert sandbox.run_code("print(1)").stdout == "1"

        def test_after(podflare_sandbox):
            assert podflare_sandbox.run_code("print(1)").stdout == "1"
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=2)
