import asyncio
import json

import httpx

from podflare import Sandbox


async def answers(questions):
    """A program of yours: the SDK's calls wait in threads, the event loop does not."""
    parent = await asyncio.to_thread(Sandbox)
    children = await asyncio.to_thread(parent.fork, len(questions))
    try:
        running = [
            asyncio.to_thread(child.run_code, f"print({question})")
            for child, question in zip(children, questions, strict=True)
        ]
        return [result.stdout for result in await asyncio.gather(*running)]
    finally:
        for sandbox in (parent, *children):
            await asyncio.to_thread(sandbox.close)


def test_a_program_on_the_sdk(podflare_emulator):
    assert asyncio.run(answers(["1 + 1", "6 * 7"])) == ["2", "42"]


async def stream(url, code):
    """A program of yours that speaks HTTP itself."""
    async with httpx.AsyncClient(base_url=url) as client:
        sandbox = (await client.post("/v1/sandboxes", json={})).json()["id"]
        async with client.stream("POST", f"/v1/sandboxes/{sandbox}/exec", json={"code": code}) as response:
            events = [json.loads(line) async for line in response.aiter_lines()]
        await client.delete(f"/v1/sandboxes/{sandbox}")
    return events


def test_a_program_on_http(podflare_emulator):
    events = asyncio.run(stream(podflare_emulator.url, "for n in range(3): print(n)"))
    assert [event["data"] for event in events] == ["0", "1", "2", 0]
