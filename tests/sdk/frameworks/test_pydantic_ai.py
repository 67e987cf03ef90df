"""The tool for Pydantic AI, with its own fake model."""

import asyncio
from typing import Any

import pytest

from podflare import AsyncSandbox, NotFoundError, Sandbox

pytest.importorskip("pydantic_ai", reason="the package pydantic-ai-slim is not installed")

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from podflare.integrations.pydantic_ai import PodflareTool

from ...matrix import SLOW
from .stopping import AFTERWARDS, LIMIT, SLEEPS, STOPPED


def _agent(tool: PodflareTool, *codes: str) -> Agent[None, str]:
    """Its model has these run, one a turn, and ends with what the last one gave."""

    def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        assert [offered.name for offered in info.function_tools] == ["run_code"]
        turn = sum(isinstance(message, ModelResponse) for message in messages)
        if turn < len(codes):
            return ModelResponse(parts=[ToolCallPart("run_code", {"code": codes[turn]})])
        return ModelResponse(parts=[TextPart(str(messages[-1].parts[0].content))])  # type: ignore[union-attr]

    return Agent(FunctionModel(model), tools=[tool])


def _output(agent: Agent[None, str]) -> str:
    """Of a run in a loop of its own: the framework's `run_sync` leaves its loop open."""
    return asyncio.run(agent.run("go")).output


def test_an_agent_runs_code_in_one_sandbox(podflare_sandbox: Sandbox) -> None:
    agent = _agent(PodflareTool(podflare_sandbox), "x = 41", "print(x + 1)")
    assert _output(agent) == "stdout:\n42\nstderr:\n\nexit_code: 0"


def test_the_model_is_told_the_parameters() -> None:
    schema = PodflareTool().function_schema.json_schema
    assert schema["properties"]["language"]["enum"] == ["python", "bash"]
    assert schema["required"] == ["code"]


def test_one_of_its_own_with_settings(host: str, received: list[dict[str, Any]]) -> None:
    tool = PodflareTool(host=host, template="python-datasci", egress=False)
    assert received == []
    _output(_agent(tool, "x = 1"))
    tool.close()
    assert received[0]["body"] == {"template": "python-datasci", "egress": False}
    assert received[-1]["method"] == "DELETE"


def test_a_sandbox_that_is_gone_ends_the_run(sandbox: Sandbox, instead: dict[str, Any]) -> None:
    instead["exec"] = (404, {}, [b'{"error": "sandbox not found"}'])
    with pytest.raises(NotFoundError):
        _output(_agent(PodflareTool(sandbox), "1"))


@SLOW
def test_a_run_that_times_out_stops_the_code(podflare_async_sandbox: AsyncSandbox) -> None:
    tool = PodflareTool(podflare_async_sandbox)

    async def stop_and_go_on() -> str:
        await _agent(tool, "kept = 41").run("go")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(_agent(tool, SLEEPS).run("go"), LIMIT)
        return (await _agent(tool, AFTERWARDS).run("go")).output

    assert STOPPED in asyncio.run(stop_and_go_on())
