"""Ten modules of CPython's own tests end in a sandbox as they do beside it; tests/cpython.py has the others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from podflare import Sandbox

from .. import cpython


@pytest.mark.skipif(not cpython.has_tests(), reason="this interpreter has no tests of its own")
def test_they_end_as_on_this_machine(namespace_sandbox: Callable[..., Sandbox]) -> None:
    here = cpython.beside(cpython.QUICK)
    assert len(here) > 100
    found = cpython.differences(cpython.inside(namespace_sandbox(), cpython.QUICK), here)
    assert cpython.unexplained(found) == [], found


def test_what_is_printed_of_a_test_is_read() -> None:
    printed = """
test_a (test.test_it.First.test_a) ... ok
test_b (test.test_it.First) ... FAIL
test_c (test.test_it.First.test_c)
What it is about. ... skipped 'no'
test_d (test.test_it.First.test_d) ... ERROR
"""
    assert cpython.outcomes(printed) == {
        "test.test_it.First.test_a": "ok",
        "test.test_it.First.test_b": "FAIL",
        "test.test_it.First.test_c": "skipped",
        "test.test_it.First.test_d": "ERROR",
    }
    assert cpython.differences({"a": "ok", "b": "FAIL"}, dict.fromkeys("abc", "ok")) == {
        "b": "FAIL",
        "c": "not run",
    }
