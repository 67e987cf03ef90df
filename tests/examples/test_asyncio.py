import asyncio

import pytest

from podflare import AsyncSandbox, ExecTimeoutError


async def answers(questions):
    """A program of yours: the sandboxes work at the same time, and the event loop goes on."""
    async with AsyncSandbox() as parent:
        children = await parent.fork(len(questions))
        try:
            running = [
                child.run_code(f"print({question})")
                for child, question in zip(children, questions, strict=True)
            ]
            return [result.stdout for result in await asyncio.gather(*running)]
        finally:
            await asyncio.gather(*(child.close() for child in children))


def test_a_program(podflare_emulator):
    assert asyncio.run(answers(["1 + 1", "6 * 7"])) == ["2", "42"]


async def first_line(sandbox, code):
    """Leaving the block interrupts the code."""
    async with sandbox.run_code_stream(code) as events:
        return (await anext(events)).data


def test_a_stream(podflare_async_sandbox):
    assert asyncio.run(first_line(podflare_async_sandbox, "n = 0\nwhile True: print(n); n += 1")) == "0"


async def three_ways_to_stop(sandbox):
    forever = "print('begun'); import time; time.sleep(1000)"

    with pytest.raises(ExecTimeoutError) as stopped:
        await sandbox.run_code(forever, timeout=2)
    assert stopped.value.stdout == "begun"

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(sandbox.run_code(forever), 0.5)

    events = sandbox.run_code_stream(forever)
    assert (await anext(events)).data == "begun"
    sandbox.interrupt()  # from any thread or task
    with pytest.raises(ExecTimeoutError):
        await anext(events)

    return await sandbox.run_code("print('free')")


def test_stopping(podflare_async_sandbox):
    assert asyncio.run(three_ways_to_stop(podflare_async_sandbox)).stdout == "free"
