"""Anthropic Messages API: answer the model's request to run code.

for block in message.content:
    if block.type == "tool_use":
        results.append(handle_code_execution_tool_use(block, sandbox))
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from podflare.aio.sandbox import AsyncSandbox
from podflare.integrations.running import text_for_model
from podflare.sandbox import Sandbox
from podflare.types import ExecResult, Language

if TYPE_CHECKING:
    from anthropic.types import ServerToolUseBlock, ToolResultBlockParam, ToolUseBlock

# Anthropic's own names for a tool whose input is a shell `command`.
_BASH_TOOLS = {"bash", "bash_code_execution"}


def handle_code_execution_tool_use(
    tool_use_block: "ToolUseBlock | ServerToolUseBlock | Mapping[str, Any]", sandbox: Sandbox
) -> "ToolResultBlockParam":
    """Run the code of a tool_use block in a sandbox and return the tool_result block to send back.

    The package `anthropic` is not needed: a block may as well be the dict of the JSON.

    Args:
        tool_use_block: Of a tool whose input is `{"code": str, "language"?: "python" | "bash"}`, such as
            `code_execution`; or of `bash` or `bash_code_execution`, whose input is `{"command": str}`.
        sandbox: Where to run it.

    Returns:
        A block with the same `tool_use_id`, whose text holds stdout, stderr and the exit code. `is_error` is
        true if the exit code is not 0, or if the input holds no code to run.

    Raises:
        PodflareError: If the sandbox fails. That is for the program to see: the model cannot mend it.
    """
    tool_use_id, asked = _asked(tool_use_block)
    if isinstance(asked, str):
        return _tool_result(tool_use_id, asked, is_error=True)
    return _answer(tool_use_id, sandbox.run_code(*asked))


async def async_handle_code_execution_tool_use(
    tool_use_block: "ToolUseBlock | ServerToolUseBlock | Mapping[str, Any]", sandbox: AsyncSandbox
) -> "ToolResultBlockParam":
    """As `handle_code_execution_tool_use`, in an `AsyncSandbox`. Cancelling it interrupts the code."""
    tool_use_id, asked = _asked(tool_use_block)
    if isinstance(asked, str):
        return _tool_result(tool_use_id, asked, is_error=True)
    return _answer(tool_use_id, await sandbox.run_code(*asked))


def _asked(
    tool_use_block: "ToolUseBlock | ServerToolUseBlock | Mapping[str, Any]",
) -> tuple[str, tuple[str, Language] | str]:
    """The id of a block, and its code with the language, or else what is wrong with it."""
    block: Mapping[str, Any] = tool_use_block if isinstance(tool_use_block, Mapping) else vars(tool_use_block)
    tool_use_id = str(block["id"])
    try:
        return tool_use_id, _code(str(block["name"]), block["input"])
    except ValueError as error:
        return tool_use_id, str(error)


def _answer(tool_use_id: str, result: ExecResult) -> "ToolResultBlockParam":
    return _tool_result(tool_use_id, text_for_model(result), is_error=not result.ok)


def _tool_result(tool_use_id: str, text: str, *, is_error: bool) -> "ToolResultBlockParam":
    return {
        "type": "tool_result",
        "tool_use_id": tool_use_id,
        "content": [{"type": "text", "text": text}],
        "is_error": is_error,
    }


def _code(tool: str, tool_input: Mapping[str, object]) -> tuple[str, Language]:
    field = "command" if tool in _BASH_TOOLS else "code"
    code = tool_input.get(field)
    if not isinstance(code, str):
        raise ValueError(f"the input of {tool} needs {field!r}, a string; got {dict(tool_input)!r}")
    language = "bash" if tool in _BASH_TOOLS else tool_input.get("language", "python")
    if language == "bash":
        return code, "bash"
    if language == "python":
        return code, "python"
    raise ValueError(f"the language must be 'python' or 'bash', not {language!r}")
