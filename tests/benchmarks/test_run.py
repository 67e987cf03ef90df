"""The benchmarks run. How fast anything is, is theirs to say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ..matrix import SLOW

_BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"

_WITH_BROKEN_CASES = f"""
import sys, time
sys.path.insert(0, {str(_BENCHMARKS)!r})
import perform, run
from bench import case
from podflare import Sandbox

@case()
def broken(bench):
    raise RuntimeError("out of luck")

@case(seconds=0.5)
def endless(bench):
    with Sandbox(client=bench.client) as sandbox:
        sandbox.run_code("while True: pass")

@case()
def stuck(bench):
    stop, budget = bench._server.stop, perform._CLEANING
    def slow():
        bench._server.stop, perform._CLEANING = stop, budget
        time.sleep(60)
    bench._server.stop, perform._CLEANING = slow, 0.1
    raise RuntimeError("and it hangs")

@case()
def sound(bench):
    with Sandbox(client=bench.client):
        bench.record("made", "ms", [1.0])

sys.exit(run.main(sys.argv[1:]))
"""


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words, "--repetitions", "2"], capture_output=True, text=True)


@SLOW
def test_a_few_cases_are_measured_and_written_down(tmp_path: Path) -> None:
    cases = ("exec-sum", "fork-small", "close", "subprocess-per-call")
    program = str(_BENCHMARKS / "run.py")
    finished = _run(program, "--isolation", "portable", "--output", str(tmp_path), "--only", *cases)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    results = json.loads((tmp_path / "portable.json").read_text())
    assert [(case["case"], case["status"]) for case in results["cases"]] == [(name, "ok") for name in cases]
    assert all(each["median"] > 0 for case in results["cases"] for each in case["measurements"])
    assert [
        price["measured"] > 0 for price in results["prices"] if price["operation"] == "`run_code('1+1')`"
    ] == [True]
    page = (tmp_path / "portable.md").read_text()
    assert "| exec: 1+1 |" in page
    assert str(tmp_path.parent) not in page


@SLOW
def test_a_case_that_fails_or_takes_too_long_is_reported_and_the_others_are_measured(tmp_path: Path) -> None:
    words = (
        "--isolation",
        "portable",
        "--output",
        str(tmp_path),
        "--only",
        "broken",
        "endless",
        "stuck",
        "sound",
    )
    finished = _run("-c", _WITH_BROKEN_CASES, *words)
    assert finished.returncode == 1, finished.stdout + finished.stderr
    results = json.loads((tmp_path / "portable.json").read_text())
    assert [(case["case"], case["status"], case["reason"]) for case in results["cases"]] == [
        ("broken", "failed", "RuntimeError: out of luck"),
        ("endless", "failed", "it took longer than its 0.5 seconds"),
        ("stuck", "failed", "RuntimeError: and it hangs; nor did the server stop in time"),
        ("sound", "ok", ""),
    ]
