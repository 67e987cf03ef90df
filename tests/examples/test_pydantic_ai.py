import asyncio

import pytest

pytest.importorskip("pydantic_ai", reason="the package pydantic-ai-slim is not installed")

from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

from podflare.integrations.pydantic_ai import PodflareTool


def test_an_agent_calls_the_tool(podflare_async_sandbox):
    agent = Agent(TestModel(call_tools=["run_code"]), tools=[PodflareTool(podflare_async_sandbox)])
    assert "NameError" in asyncio.run(agent.run("go")).output  # this model's code is the letter "a"
