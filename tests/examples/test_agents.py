import pytest

pytest.importorskip("agents", reason="the package openai-agents is not installed")

from agents import Agent

from podflare.integrations.openai_agents import podflare_code_interpreter


def test_an_agent_with_a_code_interpreter(podflare_sandbox):
    agent = Agent(name="analyst", tools=[podflare_code_interpreter(podflare_sandbox)])
    assert [tool.name for tool in agent.tools] == ["run_code"]
