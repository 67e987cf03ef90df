"""OpenAI Agents SDK: a tool that runs the model's code in a sandbox.

agent = Agent(name="analyst", tools=[podflare_code_interpreter()])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from podflare.errors import PodflareError
from podflare.integrations.definition import DESCRIPTION, NAME
from podflare.integrations.results import MAX_OUTPUT, fields_of
from podflare.integrations.running import CodeRunner
from podflare.types import Language

if TYPE_CHECKING:
    from agents import FunctionTool
    from typing_extensions import Unpack

    from podflare.aio.sandbox import AsyncSandbox
    from podflare.integrations.settings import SandboxSettings
    from podflare.sandbox import Sandbox

    class CodeInterpreterTool(FunctionTool):
        def close(self) -> None:
            """Destroy the tool's own sandbox. A call after it makes another."""

        def close_podflare_sandbox(self) -> None:
            """Another name of `close`."""


def podflare_code_interpreter(
    sandbox: Sandbox | AsyncSandbox | str | None = None,
    *,
    timeout: float | None = None,
    max_output: int | None = MAX_OUTPUT,
    **settings: Unpack[SandboxSettings],
) -> CodeInterpreterTool:
    """Make a tool named `run_code`, for `Agent(tools=[podflare_code_interpreter()])`.

    A tool has one sandbox, so that what the model defines in one call is there in the next.

    Args:
        sandbox: The sandbox to use, of either kind, or the id of one; it stays the caller's to close. Without one, the
            tool creates its own when the model first calls it, and destroys it by `tool.close()`, or when nothing
            refers to the tool, or when Python exits.
        timeout: Seconds after which code is interrupted, and the model told so; None for no limit.
        max_output: Characters of stdout, and of stderr, that the model is given; None for all.
        **settings: Arguments of `Sandbox`: `template`, `host`, `api_key`, `client`, `timeout_seconds`, ...

    Returns:
        A tool that takes `code` and `language`, and gives the model `stdout`, `stderr` and `exit_code`. The event loop
        goes on while code runs; cancelling the run interrupts the code. If the sandbox fails, the run ends with an
        exception.

    Raises:
        ImportError: If `openai-agents` is not installed.
        InvalidArgumentError: If both a sandbox and settings of one are given.
    """
    try:
        from agents import default_tool_error_function, function_tool
    except ImportError as error:
        message = "the OpenAI Agents SDK is missing; install it with: pip install 'podflare[openai-agents]'"
        raise ImportError(message) from error

    runner = CodeRunner(sandbox, timeout=timeout, max_output=max_output, settings=settings)

    def on_failure(context: Any, error: Exception) -> str:
        # Without this, the model would be told to try again with a sandbox that is gone.
        if isinstance(error, PodflareError):
            raise error
        return default_tool_error_function(context, error)

    async def run_code(code: str, language: Language = "python") -> dict[str, str | int]:
        return fields_of(await runner.run_async(code, language))

    tool = cast(
        "CodeInterpreterTool",
        function_tool(
            run_code,
            name_override=NAME,
            description_override=DESCRIPTION,
            failure_error_function=on_failure,
        ),
    )
    tool.close = tool.close_podflare_sandbox = runner.close  # type: ignore[method-assign]
    return tool
