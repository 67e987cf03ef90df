"""A web application whose handlers each run a second of code in a sandbox of their own: `application.py URL WAY`.

WAY: `async` is Starlette on `AsyncSandbox`; `handlers` is Starlette with plain functions, which it runs in threads;
`threads` is no application, but twenty threads. The last two run with any client that is called podflare.
Prints, as JSON, a list: of each round the milliseconds that it took, and of the event loop's ticks the longest, in time
and in processor time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import podflare

HANDLERS = 20
_CODE = "import time; time.sleep(1); print('done')"
_ROUNDS = 6  # of which the first warms up


def main(url: str, way: str) -> None:
    rounds = _threads(url) if way == "threads" else asyncio.run(_application(url, way))
    print(json.dumps(rounds[1:]))


def _threads(url: str) -> list[list[float]]:
    rounds = []
    client = podflare.Client(url)
    with ThreadPoolExecutor(HANDLERS) as pool:
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            answers = list(pool.map(lambda _: _answer(client), range(HANDLERS)))
            rounds.append([(time.perf_counter() - began) * 1000, 0.0, 0.0])
            assert answers == ["done"] * HANDLERS
    client.close()
    return rounds


def _answer(client: podflare.Client) -> str:
    sandbox = podflare.Sandbox(client=client)
    try:
        return sandbox.run_code(_CODE).stdout
    finally:
        sandbox.close()


async def _application(url: str, way: str) -> list[list[float]]:
    rounds = []
    async with AsyncExitStack() as stack:
        handler = await {"async": _async_handler, "handlers": _plain_handler}[way](url, stack)
        app = Starlette(routes=[Route("/", handler)])
        browser = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app", timeout=60)
        await stack.enter_async_context(browser)
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            async with _watching_the_loop() as ticks:
                answers = await asyncio.gather(*(browser.get("/") for _ in range(HANDLERS)))
            took = (time.perf_counter() - began) * 1000
            assert [answer.text for answer in answers] == ["done"] * HANDLERS
            rounds.append([took, max(wall for wall, _ in ticks), max(processor for _, processor in ticks)])
    return rounds


async def _async_handler(url: str, stack: AsyncExitStack) -> Callable[[Request], Awaitable[Any]]:
    client = await stack.enter_async_context(podflare.AsyncClient(url))

    async def handle(request: Request) -> PlainTextResponse:
        async with podflare.AsyncSandbox(client=client) as sandbox:
            return PlainTextResponse((await sandbox.run_code(_CODE)).stdout)

    return handle


async def _plain_handler(url: str, stack: AsyncExitStack) -> Any:
    client = podflare.Client(url)
    stack.callback(client.close)

    def handle(request: Request) -> PlainTextResponse:
        return PlainTextResponse(_answer(client))

    return handle


@asynccontextmanager
async def _watching_the_loop() -> AsyncIterator[list[tuple[float, float]]]:
    """How long each tick of the loop held it, in ms: by the clock, and of this thread's processor time."""
    ticks = [(0.0, 0.0)]

    async def tick() -> None:
        while True:
            wall, processor = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0.001)
            ticks.append(((time.perf_counter() - wall) * 1000 - 1, (time.thread_time() - processor) * 1000))

    ticking = asyncio.ensure_future(tick())
    try:
        yield ticks
    finally:
        ticking.cancel()


if __name__ == "__main__":
    main(*sys.argv[1:])
