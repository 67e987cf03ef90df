"""Pydantic AI: a tool that runs the model's code in a sandbox.

agent = Agent(model, tools=[podflare_code_interpreter()])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podflare.integrations.definition import DESCRIPTION, NAME
from podflare.integrations.results import MAX_OUTPUT
from podflare.integrations.running import CodeRunner

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from podflare.aio.sandbox import AsyncSandbox
    from podflare.integrations.settings import SandboxSettings
    from podflare.sandbox import Sandbox

try:
    from pydantic_ai import Tool
except ImportError as error:
    message = "Pydantic AI is missing; install it with: pip install 'podflare[pydantic-ai]'"
    raise ImportError(message) from error


class PodflareTool(Tool[Any]):
    """A tool named `run_code`, for agents of any dependencies.

    Args:
        sandbox: The sandbox to use, of either kind, or the id of one; it stays the caller's to close. Without one, the
            tool makes its own when the model first calls it, and destroys it by `close`, or when nothing refers to the
            tool, or when Python exits.
        timeout: Seconds after which code is interrupted, and the model told so; None for no limit.
        max_output: Characters of stdout, and of stderr, that the model is given; None for all.
        **settings: Arguments of `Sandbox`: `template`, `host`, `api_key`, `client`, `timeout_seconds`, ...

    The model gets stdout, stderr and the exit code as text. Cancelling a run interrupts the code. If the sandbox fails,
    the run ends with a `PodflareError`.
    """

    def __init__(
        self,
        sandbox: Sandbox | AsyncSandbox | str | None = None,
        *,
        timeout: float | None = None,
        max_output: int | None = MAX_OUTPUT,
        **settings: Unpack[SandboxSettings],
    ) -> None:
        self._runner = CodeRunner(sandbox, timeout=timeout, max_output=max_output, settings=settings)
        super().__init__(self._runner.answer_async, takes_ctx=False, name=NAME, description=DESCRIPTION)

    def close(self) -> None:
        """Destroy the tool's own sandbox. A call after it makes another."""
        self._runner.close()
