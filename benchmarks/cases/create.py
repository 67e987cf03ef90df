"""How long a new sandbox takes, from a warm pool and from one that is being emptied."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from bench import Bench, case
from measure import Stopwatch
from podflare import Sandbox

_BURST = 50
_REST = 0.03  # seconds between two creates, in which the pool is filled up again


@case()
def create_warm(bench: Bench) -> None:
    """As a test suite does it: some time passes between one sandbox and the next.

    After a rest any call takes longer, whatever it asks for: what it is compared to has rested as long.
    """
    rested = bench.floor(_REST)
    bench.record(f"the floor after a rest of {_REST * 1000:.0f} ms", "ms", rested)
    floor = median(rested)
    for stopwatch in bench.repeat("create: Sandbox()", floor=floor):
        with stopwatch:
            sandbox = Sandbox(host=bench.url)
        sandbox.close()
        time.sleep(_REST)
    for stopwatch in bench.repeat("create: Sandbox(client=...)", floor=floor):
        with stopwatch:
            sandbox = Sandbox(client=bench.client)
        sandbox.close()
        time.sleep(_REST)


@case()
def create_without_pause(bench: Bench) -> None:
    """Faster than any pool is refilled: what a sandbox costs in the long run, with its end."""
    for stopwatch in bench.repeat("create and close, without pause"):
        with stopwatch:
            Sandbox(client=bench.client).close()


@case()
def create_burst(bench: Bench) -> None:
    each: list[float] = []
    watch = Stopwatch()
    for stopwatch in bench.repeat(f"create: {_BURST} one after another", most=10):
        sandboxes = []
        with stopwatch:
            for _ in range(_BURST):
                with watch:
                    sandboxes.append(Sandbox(client=bench.client))
                each.append(watch.milliseconds)
        _close(sandboxes)
    bench.record(f"create: each of {_BURST} one after another", "ms", each)
    with ThreadPoolExecutor(_BURST) as threads:
        for stopwatch in bench.repeat(f"create: {_BURST} at once", most=10):
            with stopwatch:
                sandboxes = list(threads.map(lambda _: Sandbox(client=bench.client), range(_BURST)))
            _close(sandboxes)


def _close(sandboxes: list[Sandbox]) -> None:
    for sandbox in sandboxes:
        sandbox.close()
    time.sleep(_REST)
