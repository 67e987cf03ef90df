"""Anthropic Messages API: tell the model of a sandbox, and answer its requests to run code or edit files there.

message = client.messages.create(tools=[CODE_EXECUTION_TOOL, BASH_TOOL, TEXT_EDITOR_TOOL], ...)
for block in message.content:
    if block.type == "tool_use":
        results.append(handle_code_execution_tool_use(block, sandbox))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from podflare.integrations import text_editor
from podflare.integrations.definition import DESCRIPTION, chosen, parameters
from podflare.integrations.results import MAX_OUTPUT, text_of
from podflare.integrations.running import runner_in
from podflare.types import ExecResult, Language

if TYPE_CHECKING:
    from anthropic.types import (
        ServerToolUseBlock,
        ToolBash20250124Param,
        ToolParam,
        ToolResultBlockParam,
        ToolTextEditor20250728Param,
        ToolUseBlock,
    )

    from podflare.aio.sandbox import AsyncSandbox
    from podflare.sandbox import Sandbox

CODE_EXECUTION_TOOL: ToolParam = {
    "name": "code_execution",
    "description": DESCRIPTION,
    "input_schema": parameters(),
}
"""For `tools=[...]`: Python and bash in a sandbox."""

BASH_TOOL: ToolBash20250124Param = {"type": "bash_20250124", "name": "bash"}
"""For `tools=[...]`: Anthropic's own bash tool. Each command runs in a fresh bash, on the same files."""

TEXT_EDITOR_TOOL: ToolTextEditor20250728Param = {
    "type": "text_editor_20250728",
    "name": "str_replace_based_edit_tool",
}
"""For `tools=[...]`: Anthropic's own text editor tool, on the sandbox's files."""

# Anthropic's own names for a tool whose input is a shell `command`.
_BASH_TOOLS = {"bash", "bash_code_execution"}

_RESTARTED = "Nothing had to be restarted: each command runs in a fresh bash, on the same files."


def handle_code_execution_tool_use(
    tool_use_block: ToolUseBlock | ServerToolUseBlock | Mapping[str, Any],
    sandbox: Sandbox,
    *,
    timeout: float | None = None,
    max_output: int | None = MAX_OUTPUT,
) -> ToolResultBlockParam:
    """Do in a sandbox what a tool_use block asks for, and return the tool_result block to send back.

    The package `anthropic` is not needed: a block may as well be the dict of the JSON.

    Args:
        tool_use_block: Of a tool whose input is `{"code": str, "language"?: "python" | "bash"}`, such as
            `CODE_EXECUTION_TOOL`; of `bash` or `bash_code_execution`, whose input is `{"command": str}` or
            `{"restart": true}`; or of the text editor.
        sandbox: Where to do it.
        timeout: Seconds after which code is interrupted, and the model told so; None for no limit.
        max_output: Characters of stdout, and of stderr, that the model is given; None for all.

    Returns:
        A block with the same `tool_use_id`, whose text holds stdout, stderr and the exit code, or what the text editor
        has to say. `is_error` is true if the exit code is not 0, or if the input asks for nothing that there is.

    Raises:
        PodflareError: If the sandbox fails. That is for the program to see: the model cannot mend it.
    """
    asked = _Asked(tool_use_block)
    if asked.code is None:
        return asked.answered()
    runner = runner_in(sandbox, timeout=timeout, max_output=max_output)
    return asked.with_result(runner.run(*asked.code))


async def async_handle_code_execution_tool_use(
    tool_use_block: ToolUseBlock | ServerToolUseBlock | Mapping[str, Any],
    sandbox: AsyncSandbox | Sandbox,
    *,
    timeout: float | None = None,
    max_output: int | None = MAX_OUTPUT,
) -> ToolResultBlockParam:
    """As `handle_code_execution_tool_use`, in a sandbox of either kind. Cancelling it interrupts the code."""
    asked = _Asked(tool_use_block)
    if asked.code is None:
        return asked.answered()
    runner = runner_in(sandbox, timeout=timeout, max_output=max_output)
    return asked.with_result(await runner.run_async(*asked.code))


class _Asked:
    """What a block asks for: `code` to run, or None where the answer needs none."""

    def __init__(self, tool_use_block: Any) -> None:
        block = tool_use_block if isinstance(tool_use_block, Mapping) else vars(tool_use_block)
        self._id, self._tool = str(block["id"]), str(block["name"])
        self._answer, self._failed = _RESTARTED, False
        self.code: tuple[str, Language] | None = None
        try:
            self.code = self._code(block["input"])
        except ValueError as error:
            self._answer, self._failed = str(error), True

    def _code(self, tool_input: object) -> tuple[str, Language] | None:
        if not isinstance(tool_input, Mapping):
            raise ValueError(f"the input of {self._tool} must be an object, not {tool_input!r}")
        if self._tool in text_editor.NAMES:
            return text_editor.program(tool_input), "python"
        if self._tool not in _BASH_TOOLS:
            return chosen(tool_input.get("code"), tool_input.get("language"))
        if tool_input.get("restart"):
            return None
        command = tool_input.get("command")
        if not isinstance(command, str):
            raise ValueError(
                f"{self._tool} needs 'command', a string, or 'restart'; got {dict(tool_input)!r}"
            )
        return command, "bash"

    def answered(self) -> ToolResultBlockParam:
        return self._block(self._answer, is_error=self._failed)

    def with_result(self, result: ExecResult) -> ToolResultBlockParam:
        text = text_of(result)
        if self._tool in text_editor.NAMES:
            text = result.stdout if result.ok else result.stderr
        return self._block(text, is_error=not result.ok)

    def _block(self, text: str, *, is_error: bool) -> ToolResultBlockParam:
        return {
            "type": "tool_result",
            "tool_use_id": self._id,
            "content": [{"type": "text", "text": text}],
            "is_error": is_error,
        }
