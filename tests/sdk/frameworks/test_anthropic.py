import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from podflare import AsyncSandbox, NotFoundError, Sandbox
from podflare.integrations.anthropic import (
    async_handle_code_execution_tool_use,
    handle_code_execution_tool_use,
)


def _tool_use(tool_input: dict[str, Any], name: str = "code_execution") -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_01", "name": name, "input": tool_input}


def _text(block: Any) -> str:
    return str(block["content"][0]["text"])


def test_the_code_is_run_and_answered(sandbox: Sandbox) -> None:
    block = handle_code_execution_tool_use(
        _tool_use({"code": "import sys; print(6*7); print('hm', file=sys.stderr)"}), sandbox
    )
    assert block == {
        "type": "tool_result",
        "tool_use_id": "toolu_01",
        "content": [{"type": "text", "text": "stdout:\n42\nstderr:\nhm\nexit_code: 0"}],
        "is_error": False,
    }


def test_state_stays_between_calls(sandbox: Sandbox) -> None:
    handle_code_execution_tool_use(_tool_use({"code": "x = 5"}), sandbox)
    assert "stdout:\n5\n" in _text(handle_code_execution_tool_use(_tool_use({"code": "print(x)"}), sandbox))


def test_failing_code_is_an_error_for_the_model(sandbox: Sandbox) -> None:
    block: Any = handle_code_execution_tool_use(_tool_use({"code": "1/0"}), sandbox)
    assert block["is_error"]
    assert "ZeroDivisionError" in _text(block)
    assert "exit_code: 1" in _text(block)


@pytest.mark.parametrize(
    ("name", "tool_input"),
    [
        ("bash", {"command": "echo $0"}),
        ("bash_code_execution", {"command": "echo $0"}),
        ("code_execution", {"code": "echo $0", "language": "bash"}),
    ],
)
def test_bash_is_run_as_bash(sandbox: Sandbox, name: str, tool_input: dict[str, str]) -> None:
    assert "stdout:\nbash\n" in _text(handle_code_execution_tool_use(_tool_use(tool_input, name), sandbox))


@pytest.mark.parametrize(
    ("name", "tool_input", "told"),
    [
        ("code_execution", {}, "'code'"),
        ("code_execution", {"code": 1}, "'code'"),
        ("code_execution", {"code": "", "language": "ruby"}, "'ruby'"),
        ("bash", {"restart": True}, "'command'"),
        ("text_editor_code_execution", {"command": "view", "path": "/x"}, "'code'"),
    ],
)
def test_input_without_code_is_an_error_for_the_model(
    sandbox: Sandbox, received: list[dict[str, Any]], name: str, tool_input: dict[str, Any], told: str
) -> None:
    block: Any = handle_code_execution_tool_use(_tool_use(tool_input, name), sandbox)
    assert block["is_error"]
    assert told in _text(block)
    assert len(received) == 1  # the create call only


def test_a_sandbox_that_is_gone_is_an_error_for_the_program(
    sandbox: Sandbox, instead: dict[str, Any]
) -> None:
    instead["exec"] = (404, {}, [b'{"error": "sandbox not found"}'])
    with pytest.raises(NotFoundError):
        handle_code_execution_tool_use(_tool_use({"code": ""}), sandbox)


@pytest.mark.parametrize(
    ("block_type", "class_name"),
    [("tool_use", "ToolUseBlock"), ("server_tool_use", "ServerToolUseBlock")],
)
def test_anthropics_own_types_fit(sandbox: Sandbox, block_type: str, class_name: str) -> None:
    types = pytest.importorskip("anthropic.types", reason="the package anthropic is not installed")
    pydantic = pytest.importorskip("pydantic")
    if not hasattr(types, class_name):
        pytest.skip(f"this version of anthropic has no {class_name}")
    block_class: Callable[..., Any] = getattr(types, class_name)
    block = block_class(id="srvtoolu_01", name="code_execution", input={"code": "print(1)"}, type=block_type)
    result = handle_code_execution_tool_use(block, sandbox)
    validated = pydantic.TypeAdapter(types.ToolResultBlockParam).validate_python(result)
    assert validated["tool_use_id"] == "srvtoolu_01"
    message = pydantic.TypeAdapter(types.MessageParam).validate_python({"role": "user", "content": [result]})
    assert message["role"] == "user"


def test_the_async_one_answers_the_same(sandbox: Sandbox) -> None:
    asked = [_tool_use({"code": "print(6*7)"}), _tool_use({"code": "1/0"}), _tool_use({"no": "code"})]

    async def answers() -> list[Any]:
        async with AsyncSandbox.connect(sandbox.id, host=sandbox._shared_client.client.host) as handle:
            return [await async_handle_code_execution_tool_use(block, handle) for block in asked]

    assert asyncio.run(answers()) == [handle_code_execution_tool_use(block, sandbox) for block in asked]
