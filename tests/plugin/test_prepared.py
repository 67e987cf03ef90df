"""A prepared sandbox is prepared once, and each test gets its own fork of it."""

from __future__ import annotations

import pytest

from ..matrix import SLOW, servers

_PREPARED = """
import pytest
from podflare import Sandbox
from pytest_podflare import prepared_sandbox

@prepared_sandbox({options})
def frame(sandbox):
    "Rows."
    print("preparing")
    sandbox.run_code("rows = [1, 2, 3]; log = open('/root/log', 'w+')")
"""


@SLOW
@pytest.mark.parametrize("server", servers())
def test_each_test_has_its_own_copy_of_memory_files_and_handles(
    pytester: pytest.Pytester, server: str
) -> None:
    pytester.makepyfile(
        _PREPARED.format(options="")
        + """
@pytest.mark.parametrize("number", range(4))
def test(frame, number):
    assert frame.run_code("print(rows, open('/root/log').read())").stdout == "[1, 2, 3] "
    frame.run_code(f"rows.append({number}); log.write('written'); log.flush()")
    assert frame.run_code("print(rows, open('/root/log').read())").stdout == f"[1, 2, 3, {number}] written"
"""
    )
    result = pytester.runpytest_subprocess("-rP", f"--podflare-server={server}")
    result.assert_outcomes(passed=4)
    assert result.outlines.count("preparing") == 1


@SLOW
@pytest.mark.parametrize(("scope", "times"), [("session", 1), ("module", 2), ("class", 4)])
def test_it_is_prepared_once_a_scope(pytester: pytest.Pytester, scope: str, times: int) -> None:
    pytester.makeconftest(_PREPARED.format(options=f"scope={scope!r}"))
    tests = """
        class TestFirst:
            def test_one(self, frame): ...
            def test_two(self, frame): assert frame.run_code("print(rows[0])").stdout == "1"

        class TestSecond:
            def test_three(self, frame): assert frame.run_code("print(rows[1])").stdout == "2"
    """
    pytester.makepyfile(test_one=tests, test_two=tests)
    result = pytester.runpytest_subprocess("-rP")
    result.assert_outcomes(passed=6)
    assert result.outlines.count("preparing") == times


@SLOW
def test_tests_without_it_see_nothing_of_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        _PREPARED.format(options="")
        + """
def test_with(frame): ...

def test_without(podflare_sandbox, podflare_emulator):
    assert podflare_sandbox.run_code("rows").exit_code == 1

def test_again(frame):
    assert frame.run_code("print(rows)").stdout == "[1, 2, 3]"
"""
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=3)


@SLOW
def test_the_preparation_may_use_fixtures_of_its_scope(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_podflare import prepared_sandbox

        @pytest.fixture(scope="session")
        def words():
            return ["a", "b"]

        @prepared_sandbox
        def dictionary(sandbox, words):
            sandbox.run_code(f"words = {words}")

        @prepared_sandbox()
        def unwise(sandbox, tmp_path): ...

        def test(dictionary):
            assert dictionary.run_code("print(words)").stdout == "['a', 'b']"

        def test_scope(unwise): ...
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ScopeMismatch*tmp_path*"])


@SLOW
def test_a_preparation_that_fails_is_tried_once_and_told_to_every_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from pytest_podflare import prepared_sandbox

        @prepared_sandbox()
        def frame(sandbox):
            print("preparing")
            sandbox.run_code("import no_such_module")

        @prepared_sandbox(check=False)
        def unchecked(sandbox):
            sandbox.run_code("false", language="bash")

        def test_one(frame): ...
        def test_two(frame): ...
        def test_three(unchecked): ...
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    result.assert_outcomes(passed=1, errors=2)
    assert result.outlines.count("preparing") == 1
    result.stdout.fnmatch_lines(
        [
            "preparing the sandbox 'frame' failed: an exec ended with exit code 1",
            "*No module named 'no_such_module'",
        ]
    )


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("@prepared_sandbox\ndef frame(): ...", "*frame: its first parameter must be the sandbox to prepare"),
        (
            "@prepared_sandbox(scope='sesion')\ndef frame(sandbox): ...",
            "*expected session or package or module or class, got 'sesion'",
        ),
    ],
)
def test_a_mistake_in_it_fails_at_collection(
    pytester: pytest.Pytester, definition: str, message: str
) -> None:
    pytester.makepyfile("from pytest_podflare import prepared_sandbox\n" + definition)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


@SLOW
def test_several_sandboxes_and_a_shared_client_are_closed_after_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from podflare import SandboxClosedError

        made = []

        def test_first(podflare_sandboxes, podflare_client):
            made.extend([podflare_sandboxes(), podflare_sandboxes(client=podflare_client)])
            made[0].run_code("a = 1")
            assert made[1].run_code("print('a' in globals())").stdout == "False"

        def test_second():
            for sandbox in made:
                with pytest.raises(SandboxClosedError):
                    sandbox.run_code("1")
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly").assert_outcomes(passed=2)


@SLOW
def test_the_server_is_told_that_every_test_forks_it_and_no_test_sees_what_comes_of_that(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(
        """
        from podflare_emulator import Emulator

        def expect_forks(self, sandbox_id, expect=Emulator.expect_forks):
            print("expected")
            expect(self, sandbox_id)

        Emulator.expect_forks = expect_forks
        """
    )
    pytester.makepyfile(
        _PREPARED.format(options="")
        + """
import time
seen = []

@pytest.mark.parametrize("number", range(4))
def test(frame, podflare_emulator, number):
    result = frame.run_code("import os, random; print(rows, random.Random(1).random(), os.listdir('/root'))")
    time.sleep(0.05)
    if number:  # the first has the preparation in its journal
        (fork,) = podflare_emulator.forks
        assert fork.children == (frame.id,)
        assert [one.sandbox for one in podflare_emulator.execs()] == [frame.id]
        seen.append((frame.id, result.stdout, len(podflare_emulator.requests()), str(podflare_emulator.tree())))
        assert seen == [seen[0]] * len(seen)
"""
    )
    result = pytester.runpytest_subprocess("-rP", "-p", "no:randomly", "--podflare-seed=5")
    result.assert_outcomes(passed=4)
    assert result.outlines.count("expected") == 1


def test_a_fixture_that_it_uses_meets_nothing_of_the_first_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from podflare import Sandbox
        from pytest_podflare import prepared_sandbox

        @pytest.fixture(scope="module")
        def helper():
            with Sandbox() as helper:
                helper.run_code("x = 5")
                yield helper

        @prepared_sandbox(scope="module")
        def ready(sandbox, helper):
            sandbox.run_code("y = " + helper.run_code("print(x)").stdout)

        @pytest.mark.podflare(stubs={"x": "no"}, env={"A": "b"}, files={"/root/f": ""}, faults={"create": 500})
        def test_first(ready, podflare_emulator):
            assert ready.run_code("print(y)").stdout == "5"
            with Sandbox.connect(ready.id) as same:
                assert same.run_code("x").stdout == "no"

        def test_second(ready, request):
            helper = request.getfixturevalue("helper")
            code = "import os; print(x, os.environ.get('A'), os.path.exists('/root/f'))"
            assert helper.run_code(code).stdout == "5 None False"
        """
    )
    pytester.runpytest_subprocess("-p", "no:randomly", "--podflare-leaks=error").assert_outcomes(passed=2)
