import asyncio

import pytest

pytest.importorskip("autogen_core", reason="the package autogen-core is not installed")

from autogen_core import CancellationToken
from autogen_core.code_executor import CodeBlock

from podflare.integrations.autogen import PodflareCodeExecutor


async def run(sandbox):
    async with PodflareCodeExecutor(sandbox) as executor:  # as in CodeExecutorAgent(code_executor=executor)
        blocks = [CodeBlock("print(6 * 7)", "python"), CodeBlock("echo done", "bash")]
        return await executor.execute_code_blocks(blocks, CancellationToken())


def test_blocks_of_code(podflare_async_sandbox):
    assert asyncio.run(run(podflare_async_sandbox)).output == "42\ndone"
