"""How long it takes to be rid of a sandbox: by destroying it, and by merging a fork into it."""

from __future__ import annotations

from bench import Bench, case
from podflare import Sandbox


@case()
def close(bench: Bench) -> None:
    for stopwatch in bench.repeat("close"):
        sandbox = Sandbox(client=bench.client)
        with stopwatch:
            sandbox.close()


@case()
def close_child(bench: Bench) -> None:
    with Sandbox(client=bench.client) as parent:
        for stopwatch in bench.repeat("close a fork's child"):
            (child,) = parent.fork()
            with stopwatch:
                child.close()


@case()
def merge(bench: Bench) -> None:
    for stopwatch in bench.repeat("merge_into"):
        with Sandbox(client=bench.client) as parent:
            (winner,) = parent.fork()
            with stopwatch:
                parent.merge_into(winner)
