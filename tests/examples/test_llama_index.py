import pytest

pytest.importorskip("llama_index.core", reason="the package llama-index-core is not installed")

from podflare.integrations.llama_index import PodflareToolSpec


def test_a_tool_with_a_sandbox(podflare_sandbox):
    tools = PodflareToolSpec(podflare_sandbox).to_tool_list()  # as in FunctionAgent(llm=llm, tools=tools)
    assert "42" in tools[0].call(code="print(6 * 7)").content
