import pytest

pytest.importorskip("smolagents", reason="the package smolagents is not installed")

from smolagents import CodeAgent, Model
from smolagents.models import ChatMessage, MessageRole

from podflare.integrations.smolagents import PodflareExecutor


class Script(Model):
    def generate(self, messages, **_):
        return ChatMessage(role=MessageRole.ASSISTANT, content="<code>final_answer(6 * 7)</code>")


def test_an_agent_answers_by_code(podflare_sandbox):
    agent = CodeAgent(tools=[], model=Script(), executor=PodflareExecutor(podflare_sandbox))
    assert agent.run("What is six times seven?") == 42
