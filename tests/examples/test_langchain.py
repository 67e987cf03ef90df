import pytest

pytest.importorskip("langchain_core", reason="the package langchain-core is not installed")

from podflare.langchain import PodflareTool


def test_a_tool_with_a_sandbox(podflare_sandbox):
    tool = PodflareTool(podflare_sandbox)  # as in create_agent(model, tools=[tool])
    tool.invoke({"code": "prices = [3, 4]"})
    assert "7" in tool.invoke({"code": "print(sum(prices))"})
