"""Twenty handlers of a web application that each run a second of code: from one event loop, and from threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from bench import Bench, case
from podflare import AsyncClient, AsyncSandbox, Sandbox

_HANDLERS = 20
_CODE = "import time; time.sleep(1)"
_ROUNDS = 5


@case(seconds=120, quick=False)
def handlers(bench: Bench) -> None:
    sandboxes = [Sandbox(client=bench.client) for _ in range(_HANDLERS)]
    ids = [sandbox.id for sandbox in sandboxes]
    try:
        for stopwatch in bench.repeat(f"{_HANDLERS} handlers of a second, a thread each", most=_ROUNDS):
            with ThreadPoolExecutor(_HANDLERS) as pool, stopwatch:
                list(pool.map(lambda sandbox: sandbox.run_code(_CODE), sandboxes))
        ticks: list[float] = []
        for stopwatch in bench.repeat(f"{_HANDLERS} handlers of a second, AsyncSandbox", most=_ROUNDS):
            with stopwatch:
                ticks.append(asyncio.run(_in_one_loop(bench.url, ids)))
        bench.record("longest tick of that event loop", "ms", ticks)
    finally:
        for sandbox in sandboxes:
            sandbox.close()


async def _in_one_loop(url: str, ids: list[str]) -> float:
    """The longest time, in ms, for which the loop did nothing else."""
    async with AsyncClient(url) as client:
        with _watching_the_loop() as ticks:
            await asyncio.gather(*(AsyncSandbox.connect(name, client=client).run_code(_CODE) for name in ids))
    return max(ticks)


@contextmanager
def _watching_the_loop() -> Iterator[list[float]]:
    ticks = [0.0]

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            ticks.append((now - last) * 1000 - 1)
            last = now

    ticking = asyncio.ensure_future(tick())
    try:
        yield ticks
    finally:
        ticking.cancel()
