import asyncio

import pytest

mcp = pytest.importorskip("mcp")


async def agent(url):
    """The program under test: a model has chosen these calls."""
    async with mcp.Client(f"{url}/mcp") as client:
        await client.call_tool("run_python", {"code": "x = 6"})
        forked = await client.call_tool("fork", {"n": 1})
        [child] = forked.structured_content["children"]
        result = await client.call_tool("run_python", {"code": "print(x * 7)", "sandbox_id": child})
        return result.structured_content["stdout"]


def test_the_agent(podflare_emulator):
    podflare_emulator.stub("pip install", language="bash", stdout="Done")
    assert asyncio.run(agent(podflare_emulator.url)) == "42"
    assert [one.code for one in podflare_emulator.execs()] == ["x = 6", "print(x * 7)"]
    podflare_emulator.reset()
