import asyncio

from podflare import AsyncClient, AsyncSandbox


async def begin():
    """A web request makes a sandbox, and its id goes into the session."""
    async with AsyncClient() as client:
        sandbox = await AsyncSandbox(client=client, idle_timeout_seconds=600)
        await sandbox.run_code("visits = 1")
        return sandbox.id


async def go_on(sandbox_id):
    """A later one finds it by its id. The block's end leaves the sandbox running."""
    async with AsyncSandbox.connect(sandbox_id) as sandbox:
        return (await sandbox.run_code("visits += 1; print(visits)")).stdout


async def end(sandbox_id):
    await AsyncSandbox.connect(sandbox_id).close()


def test_a_session(podflare_emulator):
    sandbox_id = asyncio.run(begin())
    assert asyncio.run(go_on(sandbox_id)) == "2"
    assert asyncio.run(go_on(sandbox_id)) == "3"
    asyncio.run(end(sandbox_id))
    assert podflare_emulator.reset() == []
