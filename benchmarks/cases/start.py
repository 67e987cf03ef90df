"""How long it takes from nothing to the first sandbox: the command, the plugin, the first fixture."""

from __future__ import annotations

import time
from contextlib import ExitStack

from bench import Bench, case
from measure import Stopwatch
from podflare import Sandbox
from programs import PLUGIN, run_pytest, started, test_directory

_EMPTY_TEST = "def test_nothing():\n    pass\n"

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
def plugin_unused(bench: Bench) -> None:
    """A whole run of pytest on one empty test, without and with the plugin by turns."""
    watch = Stopwatch()
    without: list[float] = []
    added: list[float] = []
    with test_directory(test_empty=_EMPTY_TEST) as directory:
        for stopwatch in bench.repeat("pytest with the plugin unused", most=40):
            with watch:
                run_pytest(directory, ())
            without.append(watch.milliseconds)
            with stopwatch:
                run_pytest(directory, PLUGIN)
            added.append(stopwatch.milliseconds - watch.milliseconds)
    bench.record("pytest without the plugin", "ms", without)
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
