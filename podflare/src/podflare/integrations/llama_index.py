"""LlamaIndex: a tool that runs the model's code in a sandbox.

agent = FunctionAgent(llm=llm, tools=PodflareToolSpec().to_tool_list())
"""

# Without "annotations" of __future__: the framework makes the tool's schema of what stands there, not of its name.
from typing import TYPE_CHECKING

from podflare.integrations.definition import DESCRIPTION
from podflare.integrations.results import MAX_OUTPUT
from podflare.integrations.running import CodeRunner
from podflare.types import Language

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from podflare.aio.sandbox import AsyncSandbox
    from podflare.integrations.settings import SandboxSettings
    from podflare.sandbox import Sandbox

try:
    from llama_index.core.tools.tool_spec.base import BaseToolSpec
except ImportError as error:
    message = "LlamaIndex is missing; install it with: pip install 'podflare[llama-index]'"
    raise ImportError(message) from error


class PodflareToolSpec(BaseToolSpec):
    """Makes a tool named `run_code`, blocking and async, by `to_tool_list()`.

    Args:
        sandbox: The sandbox to use, of either kind, or the id of one; it stays the caller's to close. Without one, the
            tool makes its own when the model first calls it, and destroys it by `close`, or when nothing refers to the
            tool, or when Python exits. With an `AsyncSandbox` only async calls work.
        timeout: Seconds after which code is interrupted, and the model told so; None for no limit.
        max_output: Characters of stdout, and of stderr, that the model is given; None for all.
        **settings: Arguments of `Sandbox`: `template`, `host`, `api_key`, `client`, `timeout_seconds`, ...

    The model gets stdout, stderr and the exit code as text. Cancelling an async call interrupts the code.
    """

    spec_functions = [("run_code", "arun_code")]  # noqa: RUF012 - as the framework declares it

    def __init__(
        self,
        sandbox: "Sandbox | AsyncSandbox | str | None" = None,
        *,
        timeout: float | None = None,
        max_output: int | None = MAX_OUTPUT,
        **settings: "Unpack[SandboxSettings]",
    ) -> None:
        self._runner = CodeRunner(sandbox, timeout=timeout, max_output=max_output, settings=settings)

    def run_code(self, code: str, language: Language = "python") -> str:
        return self._runner.answer(code, language)

    async def arun_code(self, code: str, language: Language = "python") -> str:
        return await self._runner.answer_async(code, language)

    # The framework tells the model the docstring.
    run_code.__doc__ = arun_code.__doc__ = DESCRIPTION

    def close(self) -> None:
        """Destroy the tool's own sandbox. A call after it makes another."""
        self._runner.close()
