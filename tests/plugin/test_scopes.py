"""Fixtures of wider scopes that make sandboxes of their own, with our client and with the vendor's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..matrix import SLOW, servers

RunPytest = Callable[..., pytest.RunResult]


@SLOW
@pytest.mark.parametrize("server", servers())
def test_a_modules_sandbox_outlives_its_tests_and_no_longer(
    pytester: pytest.Pytester, run_pytest: RunPytest, server: str
) -> None:
    pytester.makepyfile(
        test_a="""
        import pytest
        from podflare import Sandbox

        @pytest.fixture(scope="module")
        def box(podflare_emulator_module):
            with Sandbox() as box:
                box.run_code("x = 1")
                yield box

        def test_alone(box):
            assert box.run_code("x += 1; print(x)").stdout == "2"

        def test_beside_the_tests_own(box, podflare_sandbox, podflare_emulator):
            assert box.run_code("x += 1; print(x)").stdout == "3"
            assert podflare_sandbox.run_code("x").exit_code == 1
            podflare_emulator.reset()
            assert box.run_code("print(x)").stdout == "3"

        def test_after(box):
            assert box.run_code("x += 1; print(x)").stdout == "4"
        """,
        test_b="""
        def test_nothing_is_left(podflare_emulator):
            assert podflare_emulator.reset() == []
        """,
    )
    result = run_pytest("-p", "no:randomly", "--podflare-leaks=error", f"--podflare-server={server}")
    result.assert_outcomes(passed=4)


_LEFT_OPEN = """
import pytest
from podflare import Sandbox

@pytest.fixture(scope="{scope}")
def box(podflare_emulator_{scope}):
    return Sandbox()

class Test:
    def test_one(self, box, podflare_emulator):
        assert box.run_code("print(1)").stdout == "1"

    def test_two(self, box):
        assert box.run_code("print(1)").stdout == "1"
"""


@SLOW
@pytest.mark.parametrize("scopes", [("class", "module", "package"), ("session",)])
def test_what_a_fixture_leaves_open_is_told_and_destroyed_at_the_end_of_its_scope(
    pytester: pytest.Pytester, run_pytest: RunPytest, scopes: tuple[str, ...]
) -> None:
    for number, scope in enumerate(scopes):
        pytester.mkpydir(f"of_{number}").joinpath(f"test_{scope}.py").write_text(
            _LEFT_OPEN.replace("{scope}", scope)
        )
    result = run_pytest("-p", "no:randomly", "--podflare-leaks=error")
    result.assert_outcomes(passed=2 * len(scopes), errors=len(scopes))
    for scope in scopes:
        result.stdout.fnmatch_lines(
            [
                "*ERROR at teardown of Test.test_two*",
                "1 sandbox(es) left open;*",
                f"  sbx_*, made at of_*/test_{scope}.py:7",
            ]
        )


@SLOW
def test_a_fixture_may_have_a_name_like_ours(pytester: pytest.Pytester, run_pytest: RunPytest) -> None:
    pytester.makepyfile(
        """
        import pytest
        from podflare import Sandbox

        @pytest.fixture(scope="module")
        def my_podflare_box(podflare_emulator_module):
            with Sandbox() as box:
                yield box

        def test_one(my_podflare_box, podflare_emulator):
            assert my_podflare_box.run_code("print(1)").stdout == "1"

        def test_two(my_podflare_box):
            assert my_podflare_box.run_code("print(1)").stdout == "1"
        """
    )
    run_pytest("--podflare-leaks=error").assert_outcomes(passed=2)


@SLOW
def test_one_that_a_running_test_asks_for_outlasts_the_tests_own_and_leaves_nothing(
    pytester: pytest.Pytester, run_pytest: RunPytest
) -> None:
    pytester.makepyfile(
        test_a="""
        from podflare import Sandbox

        def test_asks_for_it(podflare_emulator, request):
            request.getfixturevalue("podflare_emulator_module")
            with Sandbox() as box:
                assert box.run_code("print(1)").stdout == "1"

        def test_has_it(podflare_emulator_module):
            with Sandbox() as box:
                assert box.run_code("print(1)").stdout == "1"
        """,
        test_b="""
        import os
        from podflare import Sandbox

        def test_nothing_is_left():
            assert not {"PODFLARE_HOST", "PODFLARE_API_URL"} & os.environ.keys()
            assert not hasattr(Sandbox.__init__, "__wrapped__")
        """,
    )
    run_pytest("-p", "no:randomly").assert_outcomes(passed=3)


@SLOW
def test_default_stubs_stand_though_the_scope_that_came_first_ends_first(
    pytester: pytest.Pytester, run_pytest: RunPytest
) -> None:
    pytester.makepyfile(
        """
        import pytest
        from podflare import Sandbox

        @pytest.fixture(scope="session")
        def podflare_stubs():
            return {"ask": "stubbed"}

        class TestIt:
            def test_one(self, request):
                request.getfixturevalue("podflare_emulator_class")
                request.getfixturevalue("podflare_emulator_module")

        def test_two(podflare_emulator_module):
            with Sandbox() as box:
                assert box.run_code("ask").stdout == "stubbed"
        """
    )
    run_pytest("-p", "no:randomly").assert_outcomes(passed=2)


@SLOW
def test_each_scope_keeps_its_own(pytester: pytest.Pytester, run_pytest: RunPytest) -> None:
    pytester.makeconftest(
        """
        import pytest
        from podflare import Sandbox

        @pytest.fixture(scope="session")
        def wide(podflare_emulator_session):
            with Sandbox() as box:
                yield box

        @pytest.fixture(scope="module")
        def narrow(podflare_emulator_module):
            with Sandbox() as box:
                yield box
        """
    )
    tests = """
        def test_narrow(narrow, podflare_emulator):
            assert narrow.run_code("print(1)").stdout == "1"

        def test_wide(request, podflare_emulator):
            wide = request.getfixturevalue("wide")
            assert wide.run_code("print(1)").stdout == "1"
    """
    pytester.makepyfile(test_one=tests, test_two=tests)
    result = run_pytest("-p", "no:randomly", "--podflare-leaks=error")
    result.assert_outcomes(passed=4)


@SLOW
def test_set_up_class_and_set_up_module_come_after_it(
    pytester: pytest.Pytester, run_pytest: RunPytest
) -> None:
    pytester.makepyfile(
        """
        import unittest
        import pytest
        from podflare import Sandbox

        pytestmark = pytest.mark.usefixtures("podflare_emulator_module")

        def setup_module():
            global of_module
            of_module = Sandbox()

        def teardown_module():
            of_module.close()

        @pytest.mark.usefixtures("podflare_emulator_class")
        class Test(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                cls.box = Sandbox()
                cls.box.run_code("x = 1")

            @classmethod
            def tearDownClass(cls):
                cls.box.close()

            def test_one(self):
                self.assertEqual(self.box.run_code("print(x)").stdout, "1")

            @pytest.mark.usefixtures("podflare_emulator")
            def test_two(self):
                self.assertEqual(self.box.run_code("print(x)").stdout, "1")

        def test_of_module(podflare_emulator):
            assert of_module.run_code("print(2)").stdout == "2"
        """
    )
    run_pytest("--podflare-leaks=error").assert_outcomes(passed=3)


@SLOW
def test_the_defaults_of_the_session_hold_in_it(pytester: pytest.Pytester, run_pytest: RunPytest) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def podflare_stubs():
            return {"import openai": "stubbed"}
        """
    )
    pytester.makepyfile(
        """
        import pytest
        from podflare import Sandbox

        @pytest.fixture(scope="module")
        def box(podflare_emulator_module):
            with Sandbox() as box:
                assert box.run_code("import openai").stdout == "stubbed"
                yield box

        @pytest.fixture(scope="class")
        def later(podflare_emulator_class, box):
            assert box.run_code("import openai").stdout == "stubbed"

        def test_one(box, podflare_emulator):
            podflare_emulator.stub("import openai", stdout="its own")
            assert box.run_code("import openai").stdout == "its own"

        class Test:
            def test_two(self, later, box, podflare_emulator):
                assert box.run_code("import openai").stdout == "stubbed"
        """
    )
    run_pytest("-p", "no:randomly").assert_outcomes(passed=2)


@SLOW
def test_a_scope_that_is_asked_for_within_a_test_leaves_the_test_as_it_is(
    pytester: pytest.Pytester, run_pytest: RunPytest
) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.podflare(stubs={"hello": "stubbed"})
        def test(podflare_sandbox, podflare_emulator, request):
            assert request.getfixturevalue("podflare_emulator_module") is podflare_emulator
            assert podflare_sandbox.run_code("hello").stdout == "stubbed"
        """
    )
    run_pytest().assert_outcomes(passed=1)


def test_on_a_real_api_its_tests_are_skipped(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test(podflare_emulator_session): ...")
    result = pytester.runpytest_subprocess("--podflare-url=http://127.0.0.1:9")
    result.assert_outcomes(skipped=1)


def test_a_scope_that_comes_late_leaves_older_sandboxes_to_their_fixture(
    pytester: pytest.Pytester, run_pytest: RunPytest
) -> None:
    pytester.makepyfile(
        """
        import pytest
        from podflare import Sandbox

        @pytest.fixture(scope="module")
        def box(podflare_emulator_session):
            with Sandbox() as box:
                yield box
                assert box.run_code("print(1)").stdout == "1"

        def test_one(box):
            pass

        def test_two(podflare_emulator_module):
            Sandbox().close()
        """
    )
    run_pytest("-p", "no:randomly", "--podflare-leaks=error").assert_outcomes(passed=2)


def test_default_stubs_of_a_class_replace_those_that_stand(
    pytester: pytest.Pytester, run_pytest: RunPytest
) -> None:
    pytester.makepyfile(
        """
        import pytest
        from podflare import Sandbox

        @pytest.fixture(scope="module", params=["podflare_emulator_module", "podflare_stubs"], autouse=True)
        def wider(request):
            return request.getfixturevalue(request.param)

        @pytest.fixture(scope="session")
        def podflare_stubs():
            return {"outer()": "outer"}

        def answers(sandbox):
            return [sandbox.run_code(code).stdout for code in ("outer()", "inner()")]

        def test_before(podflare_sandbox):
            assert answers(podflare_sandbox) == ["outer", ""]

        class Test:
            @pytest.fixture(scope="class")
            @classmethod
            def podflare_stubs(cls):
                return {"inner()": "inner"}

            def test_one(self, podflare_sandbox):
                assert answers(podflare_sandbox) == ["", "inner"]

            def test_two(self, podflare_emulator_class, podflare_sandbox):
                assert answers(podflare_sandbox) == ["", "inner"]

        def test_after(podflare_sandbox):
            assert answers(podflare_sandbox) == ["outer", ""]
        """
    )
    run_pytest("-p", "no:randomly").assert_outcomes(passed=8)


def test_what_ends_with_a_scope_is_not_in_the_next_tests_journal(
    pytester: pytest.Pytester, run_pytest: RunPytest
) -> None:
    pytester.makepyfile(
        """
        import pytest
        from podflare import Sandbox
        from pytest_podflare import prepared_sandbox

        @prepared_sandbox(scope="class")
        def ready(sandbox):
            sandbox.run_code("x = 1")

        @pytest.fixture(scope="class")
        def box(podflare_emulator_session):
            with Sandbox() as box:
                yield box

        class TestPrepared:
            def test(self, ready, podflare_emulator):
                pass

        class TestMade:
            def test(self, box, podflare_emulator):
                assert {one.sandbox for one in podflare_emulator.requests()} == {box.id}

        class TestNothing:
            def test(self, podflare_emulator):
                assert podflare_emulator.requests() == []
        """
    )
    run_pytest("-p", "no:randomly").assert_outcomes(passed=3)


def test_what_a_wider_fixture_arranges_stands_while_no_test_has_its_own(
    pytester: pytest.Pytester, run_pytest: RunPytest
) -> None:
    pytester.makepyfile(
        """
        import pytest
        from podflare import Sandbox

        def test_before(podflare_emulator):
            pass

        @pytest.fixture(scope="module")
        def box(podflare_emulator_module):
            podflare_emulator_module.stub("ask()", stdout="told")
            with Sandbox() as box:
                yield box

        class TestOne:
            def test(self, box):
                assert box.run_code("ask()").stdout == "told"

        class TestTwo:
            def test(self, box):
                assert box.run_code("ask()").stdout == "told"
        """
    )
    run_pytest("-p", "no:randomly").assert_outcomes(passed=3)
