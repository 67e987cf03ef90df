"""Whether calls stay as fast as they are when there is much of everything: sandboxes, and a sandbox's history."""

from __future__ import annotations

from bench import Bench, case
from measure import Stopwatch
from podflare import Sandbox

_LIVE = (1, 10, 100, 500)
_HISTORY = 10_000
_EPOCH = 1_000


@case(seconds=180)
def live_sandboxes(bench: Bench) -> None:
    live: list[Sandbox] = []
    try:
        for count in _LIVE if bench.full else _LIVE[:2]:
            while len(live) < count:
                live.append(Sandbox(client=bench.client))
            for stopwatch in bench.repeat(f"create, {count} live", ("create, by live sandboxes", count)):
                with stopwatch:
                    sandbox = Sandbox(client=bench.client)
                sandbox.close()
            for stopwatch in bench.repeat(f"exec 1+1, {count} live", ("exec, by live sandboxes", count)):
                with stopwatch:
                    live[-1].run_code("1+1")
            for stopwatch in bench.repeat(f"fork(1), {count} live", ("fork(1), by live sandboxes", count)):
                with stopwatch:
                    (child,) = live[-1].fork()
                child.close()
    finally:
        for sandbox in live:
            sandbox.close()


@case(seconds=120)
def history(bench: Bench) -> None:
    """In one sandbox, each exec leaving a name and a line behind."""
    watch = Stopwatch()
    with Sandbox(client=bench.client) as sandbox:
        values: list[float] = []
        for number in range(_HISTORY if bench.full else _EPOCH):
            with watch:
                sandbox.run_code(f"x{number} = {number}; print(x{number})")
            values.append(watch.milliseconds)
    step = min(_EPOCH, len(values) // 2)
    for first in range(0, len(values), step):
        epoch = values[first : first + step]
        bench.record(
            f"exec {first + 1:,} to {first + len(epoch):,}", "ms", epoch, ("exec, by history", first + 1)
        )
