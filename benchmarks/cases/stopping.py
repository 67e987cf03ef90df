"""How soon a sandbox answers again after its code was stopped in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from bench import Bench, case
from podflare import AsyncSandbox, ExecTimeoutError, Sandbox
from podflare.gemini import async_run_function_call

_SLEEPS = "import time; time.sleep(8); late = True"
_NEXT = "assert 'late' not in globals()"
_SECONDS = 0.5
_MOST = 10


@case()
def after_a_timeout(bench: Bench) -> None:
    with Sandbox(client=bench.client) as sandbox:
        for stopwatch in bench.repeat("the next call after a timeout", most=_MOST):
            with suppress(ExecTimeoutError):
                sandbox.run_code(_SLEEPS, timeout=_SECONDS)
            with stopwatch:
                assert sandbox.run_code(_NEXT).ok


@case()
def after_a_cancelled_await(bench: Bench) -> None:
    async def measure() -> None:
        async with AsyncSandbox(host=bench.url) as sandbox:
            await _after_cancelling(bench, "the next call after a cancelled await", sandbox.run_code)

    asyncio.run(measure())


@case()
def after_a_cancelled_tool(bench: Bench) -> None:
    """The adapters of all frameworks have this core; with a blocking sandbox it runs the code in a thread."""
    with Sandbox(client=bench.client) as sandbox:

        def call(code: str) -> Awaitable[object]:
            return async_run_function_call({"name": "run_code", "args": {"code": code}}, sandbox)

        asyncio.run(_after_cancelling(bench, "the next call of a tool after a cancelled one", call))


async def _after_cancelling(bench: Bench, name: str, call: Callable[[str], Awaitable[object]]) -> None:
    for stopwatch in bench.repeat(name, most=_MOST):
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(call(_SLEEPS), _SECONDS)
        with stopwatch:
            result = await call(_NEXT)
        assert "AssertionError" not in str(result)
