"""Ten modules of CPython's own tests end in a sandbox as they do beside it; tests/cpython.py has the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from podflare import Sandbox
from podflare_emulator import Emulator

from .. import cpython
from ..matrix import SLOW


@SLOW
@pytest.mark.skipif(not cpython.has_tests(), reason="this interpreter has no tests of its own")
def test_they_end_as_on_this_machine(namespace_sandbox: Callable[..., Sandbox]) -> None:
    wanted = cpython.asked_for(cpython.QUICK)
    here = cpython.outcomes(cpython.beside(wanted))
    assert len(here) > 100
    found = cpython.differences(cpython.outcomes(cpython.in_the_repl(namespace_sandbox())(wanted)), here)
    assert cpython.unexplained(found) == [], found


def test_what_is_printed_of_a_test_is_read() -> None:
    printed = """
test_a (test.test_it.First.test_a) ... ok
test_b (test.test_it.First) ... FAIL
test_c (test.test_it.First.test_c)
What it is about. ... skipped 'no'
test_d (test.test_it.First.test_d) ... ERROR
test_e (test.test_it.First.test_e) ... it looks for a book
ok
test_f (test.test_it.First.test_f) ... and this one never ends
"""
    assert cpython.outcomes(printed) == {
        "test.test_it.First.test_a": "ok",
        "test.test_it.First.test_b": "FAIL",
        "test.test_it.First.test_c": "skipped",
        "test.test_it.First.test_d": "ERROR",
        "test.test_it.First.test_e": "ok",
    }
    assert cpython.differences({"a": "ok", "b": "FAIL"}, dict.fromkeys("abc", "ok")) == {
        "b": "FAIL",
        "c": "not run",
    }


def test_a_reason_holds_for_the_backends_that_it_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "expected.txt"
    file.write_text("# comment\n\ntest.test_a.* # why\ntest.test_b.A.* portable preload # why\n")
    monkeypatch.setattr(cpython, "_EXPECTED", file)
    names = ["test.test_a.A.test", "test.test_b.A.test", "test.test_b.B.test"]
    assert cpython.unexplained(names, "preload") == names[2:]
    assert cpython.unexplained(names, "namespace") == names[1:]


def test_what_was_run_is_kept_and_what_ends_otherwise_is_run_again(
    monkeypatch: pytest.MonkeyPatch, namespace_emulator: Emulator, tmp_path: Path
) -> None:
    ran: list[str] = []

    def run(side: str, *ends: str) -> cpython.Run:
        left = [f"test_x (test.test_y.Z.test_x) ... {end}\n" for end in ends]

        def one(arguments: Sequence[str]) -> str:
            ran.append(side)
            return left.pop(0)

        return one

    monkeypatch.setattr(cpython, "beside", run("beside", "ok", "ok"))
    inside = run("inside", "FAIL", "FAIL")
    for _ in range(2):
        comparison = cpython.Comparison(namespace_emulator, lambda sandbox: inside, tmp_path, "namespace")
        assert comparison.of("test_y") == (1, {"test.test_y.Z.test_x": "FAIL"})
    assert ran == ["beside", "inside", "beside", "inside"]
