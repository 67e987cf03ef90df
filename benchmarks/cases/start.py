"""How long it takes from nothing to the first sandbox: the command, the plugin, the first fixture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from bench import Bench, case
from measure import Stopwatch
from podflare import Sandbox
from programs import PLUGIN, run_pytest, run_python, started, test_directory

_EMPTY_TEST = "def test_nothing():\n    pass\n"
_EMPTY_PLUGIN = ("-p", "empty_plugin")
_IMPORT = """
import pytest, time
started = time.perf_counter_ns()
import pytest_podflare.plugin
print((time.perf_counter_ns() - started) / 1e6)
"""

# pytest's own machinery begins and ends inside the two looks at the clock, as it does for a test that asks for it.
_FIRST_FIXTURE = """
import time

def test_first(request):
    started = time.perf_counter_ns()
    request.getfixturevalue("podflare_sandbox")
    with open("milliseconds", "w") as file:
        file.write(str((time.perf_counter_ns() - started) / 1e6))
"""


@case(on_server=False)
def emulator_start(bench: Bench) -> None:
    """The command in a fresh process, from its start to what a client gets of it."""
    listening: list[float] = []
    command = ("-m", "podflare_emulator", "--port", "0", "--isolation", bench.isolation)
    for stopwatch in bench.repeat("emulator: start to first sandbox", most=20):
        start = time.perf_counter()
        with ExitStack() as stack, stopwatch:  # its end does not count
            url = stack.enter_context(started(*command)).readline().split()[-1]
            listening.append((time.perf_counter() - start) * 1000)
            stack.enter_context(Sandbox(host=url))
    bench.record("emulator: start to listening", "ms", listening)


@case(on_server=False)
def plugin_import(bench: Bench) -> None:
    imports = [float(run_python(_IMPORT)) for _ in range(40 if bench.full else 5)]
    bench.record("import of the plugin, pytest being there", "ms", imports)


@case(on_server=False)
def plugin_unused(bench: Bench) -> None:
    """Whole runs of pytest on one empty test, with the plugin and, by turns, with an empty one.

    What pytest does to find a plugin by its name takes as long as there are packages installed, and is no plugin's.
    """
    watch = Stopwatch()
    times: dict[Sequence[str], list[float]] = {_EMPTY_PLUGIN: [], PLUGIN: []}
    with test_directory(test_empty=_EMPTY_TEST, empty_plugin="") as directory:
        for number in range(40 if bench.full else 5):
            for plugin in [*times][:: -1 if number % 2 else 1]:
                with watch:
                    run_pytest(directory, plugin)
                times[plugin].append(watch.milliseconds)
    added = [ours - empty for empty, ours in zip(*times.values(), strict=True)]
    bench.record("pytest with an empty plugin", "ms", times[_EMPTY_PLUGIN])
    bench.record("pytest with the plugin unused", "ms", times[PLUGIN])
    bench.record("pytest: added by the plugin unused", "ms", added)


@case(on_server=False)
def first_fixture(bench: Bench) -> None:
    ready = []
    with test_directory(test_first=_FIRST_FIXTURE) as directory:
        for stopwatch in bench.repeat("pytest, one test with the first fixture", most=20):
            with stopwatch:
                run_pytest(directory, (*PLUGIN, "--podflare-isolation", bench.isolation))
            ready.append(float((directory / "milliseconds").read_text()))
    bench.record("first fixture, cold", "ms", ready)
