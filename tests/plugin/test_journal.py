"""The report of a test that has failed shows what its sandboxes did."""

from __future__ import annotations

import pytest

from ..matrix import SLOW


@SLOW
def test_a_failing_tests_report_holds_its_journal_and_no_other_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_passes(podflare_sandbox):
            podflare_sandbox.run_code("print('elsewhere')")

        def test_fails(podflare_sandbox):
            (child,) = podflare_sandbox.fork()
            podflare_sandbox.run_code("x = 1")
            child.run_code("cat /no/such/file", language="bash")
            podflare_sandbox.merge_into(child)
            assert False
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- Podflare journal -*",
            "sbx_*  open, 1 exec",
            "└── sbx_*  merged into sbx_*, 1 exec",
            "",
            "fork of sbx_*: sbx_*",
            "<sbx_* python: x = 1 (exit 0, * ms)>",
            "<sbx_* bash: cat /no/such/file (exit 1, * ms)>",
            "    cat: /no/such/file: No such file or directory",
            "merge of sbx_* into sbx_*",
        ]
    )
    result.stdout.no_fnmatch_line("*elsewhere*")


def test_a_failing_tests_report_names_the_isolation_that_it_ran_under(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test(podflare_sandbox): assert False")
    result = pytester.runpytest_subprocess("--podflare-isolation=portable")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- Podflare emulator -*", "isolation: portable, fork: live, Python: 3.*"])


@SLOW
def test_a_failing_test_without_an_exec_has_no_journal(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test(podflare_sandbox): assert False")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*Podflare journal*")


@SLOW
def test_a_request_that_was_refused_is_in_the_report(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from podflare import Sandbox

        def test(podflare_emulator):
            Sandbox(template="nonesuch")
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- Podflare journal -*",
            "<POST /v1/sandboxes (400, * ms)>",
            "    template: 'nonesuch' is unknown; *",
        ]
    )


@SLOW
def test_with_a_seed_a_test_sees_the_same_ids_whatever_ran_before(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from podflare import Sandbox
        from pytest_podflare import prepared_sandbox

        @prepared_sandbox
        def prepared(sandbox): ...

        def test_first(prepared, podflare_sandbox):
            print("first:", podflare_sandbox.id, prepared.id)

        def test_second(podflare_sandbox):
            with Sandbox() as another:
                print("second:", podflare_sandbox.id, another.id)
        """
    )
    ids = []
    for chosen in ("test", "second"):
        result = pytester.runpytest_subprocess("-p", "no:randomly", "-s", "--podflare-seed=7", "-k", chosen)
        result.assert_outcomes(passed=2 if chosen == "test" else 1)
        ids.append(next(line for line in result.outlines if "second:" in line).split()[-2:])
    assert ids[0] == ids[1]
    assert len({*ids[0]}) == 2
