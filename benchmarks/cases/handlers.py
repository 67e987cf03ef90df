"""Twenty handlers of a web application, a second of code each: on an event loop and in threads, by either client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import application
from bench import Bench, case
from podflare_emulator import Emulator

_PUBLISHED = (
    "PODFLARE_PUBLISHED_CLIENT_PYTHON"  # the interpreter that has the vendor's client, if there is one
)
_WHAT = f"{application.HANDLERS} handlers of a second"


@case(seconds=180, quick=False, on_server=False)
def handlers(bench: Bench) -> None:
    # In a process of its own, as users have it, and not in one with what is measured.
    with Emulator(isolation=bench.isolation, pool_size=application.HANDLERS) as emulator:
        ways = [("threads", sys.executable, "plain threads"), ("async", sys.executable, "AsyncSandbox")]
        if python := os.environ.get(_PUBLISHED):
            ways.append(("handlers", python, "the vendor's client, in Starlette's threads"))
        for way, python, name in ways:
            rounds = _rounds(python, emulator.url, way)
            bench.record(f"{_WHAT}, {name}", "ms", [took for took, _, _ in rounds])
            if way != "threads":
                bench.record(f"longest tick of the loop, {name}", "ms", [tick for _, tick, _ in rounds])
                bench.record(
                    f"longest tick in processor time, {name}", "ms", [processor for _, _, processor in rounds]
                )


def _rounds(python: str, url: str, way: str) -> list[tuple[float, float, float]]:
    with tempfile.TemporaryDirectory() as home:  # where the vendor's client keeps files
        command = [python, str(Path(application.__file__)), url, way]
        printed = subprocess.run(
            command, env={**os.environ, "HOME": home}, capture_output=True, text=True, check=True
        )
    rounds: list[tuple[float, float, float]] = json.loads(printed.stdout)
    return rounds
