"""The tool for LlamaIndex, with its own fake model."""

import asyncio
from typing import Any

import pytest

from podflare import AsyncSandbox, Sandbox

pytest.importorskip("llama_index.core", reason="the package llama-index-core is not installed")

from podflare.integrations.llama_index import PodflareToolSpec

from .stopping import AFTERWARDS, LIMIT, SLEEPS, STOPPED

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_the_model_is_told_the_parameters() -> None:
    (tool,) = PodflareToolSpec().to_tool_list()
    assert tool.metadata.name == "run_code"
    assert "isolated sandbox" in tool.metadata.description
    schema = tool.metadata.get_parameters_dict()
    assert schema["properties"]["language"]["enum"] == ["python", "bash"]
    assert schema["required"] == ["code"]


def test_blocking_and_async_calls_share_the_sandbox(podflare_sandbox: Sandbox) -> None:
    (tool,) = PodflareToolSpec(podflare_sandbox).to_tool_list()
    tool.call(code="x = 41")
    assert asyncio.run(tool.acall(code="print(x + 1)")).content == "stdout:\n42\nstderr:\n\nexit_code: 0"
    assert "bash" in tool.call(code="echo bash", language="bash").content


def test_one_of_its_own_with_settings(host: str, received: list[dict[str, Any]]) -> None:
    spec = PodflareToolSpec(host=host, template="python-datasci")
    (tool,) = spec.to_tool_list()
    assert received == []
    tool.call(code="x = 1")
    spec.close()
    assert received[0]["body"] == {"template": "python-datasci"}
    assert received[-1]["method"] == "DELETE"


def test_an_agent_runs_code(podflare_async_sandbox: AsyncSandbox) -> None:
    from llama_index.core.agent.workflow import FunctionAgent
    from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock
    from llama_index.core.llms.mock import MockFunctionCallingLLM

    def model(messages: Any, **_: Any) -> ChatMessage:
        told = [message for message in messages if message.role == MessageRole.TOOL]
        if told:
            return ChatMessage(role="assistant", content=told[-1].content)
        call = ToolCallBlock(tool_call_id="1", tool_name="run_code", tool_kwargs={"code": "print(6 * 7)"})
        return ChatMessage(role="assistant", blocks=[call])

    agent = FunctionAgent(
        llm=MockFunctionCallingLLM(response_generator=model),
        tools=PodflareToolSpec(podflare_async_sandbox).to_tool_list(),
        streaming=False,
    )

    async def run() -> str:
        return str(await agent.run("go"))

    assert "stdout:\n42\n" in asyncio.run(run())


def test_a_call_that_times_out_stops_the_code(podflare_async_sandbox: AsyncSandbox) -> None:
    (tool,) = PodflareToolSpec(podflare_async_sandbox).to_tool_list()

    async def stop_and_go_on() -> str:
        await tool.acall(code="kept = 41")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(tool.acall(code=SLEEPS), LIMIT)
        return str((await tool.acall(code=AFTERWARDS)).content)

    assert STOPPED in asyncio.run(stop_and_go_on())
