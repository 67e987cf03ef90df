"""OpenAI Agents SDK: a tool that runs the model's code in a sandbox.

agent = Agent(name="analyst", tools=[podflare_code_interpreter()])
"""

from typing import TYPE_CHECKING, Any

from podflare.errors import PodflareError
from podflare.integrations.running import SandboxHolder, run_in_thread
from podflare.sandbox import Sandbox
from podflare.types import Language

if TYPE_CHECKING:
    from agents import FunctionTool


def podflare_code_interpreter(
    sandbox: Sandbox | None = None,
    *,
    host: str | None = None,
    api_key: str | None = None,
    template: str = "default",
) -> "FunctionTool":
    """Make a tool named `run_code`, for `Agent(tools=[podflare_code_interpreter()])`.

    A tool has one sandbox, so that what the model defines in one call is there in the next.

    Args:
        sandbox: The sandbox to use; it stays the caller's to close. Without one, the tool creates its own
            from the other arguments when the model first calls it, and destroys it when nothing refers to the
            tool any more, or else when Python exits.
        host, api_key, template: As in `Sandbox`.

    Returns:
        A tool that takes `code` and `language`, and gives the model `stdout`, `stderr` and `exit_code`. Code
        runs in a thread, and the event loop goes on; cancelling the run interrupts the code. If the sandbox
        fails, the run ends with an exception.

    Raises:
        ImportError: If `openai-agents` is not installed.
    """
    try:
        from agents import default_tool_error_function, function_tool
    except ImportError as error:
        message = "the OpenAI Agents SDK is missing; install it with: pip install 'podflare[openai-agents]'"
        raise ImportError(message) from error

    holder = SandboxHolder(sandbox, host, api_key, template)

    def on_failure(context: Any, error: Exception) -> str:
        # Without this, the model would be told to try again with a sandbox that is gone.
        if isinstance(error, PodflareError):
            raise error
        return default_tool_error_function(context, error)

    @function_tool(failure_error_function=on_failure)
    async def run_code(code: str, language: Language = "python") -> dict[str, str | int]:
        """Run code in an isolated sandbox. Returns stdout, stderr and exit_code.

        Python runs in one long-lived interpreter: names, imports and files are there in the next call. Only
        what is printed is returned. Bash runs in a fresh process each time, on the same files.
        """

        result = await run_in_thread(holder.sandbox, code, language)
        return {"stdout": result.stdout, "stderr": result.stderr, "exit_code": result.exit_code}

    return run_code
