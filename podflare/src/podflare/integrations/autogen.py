"""AutoGen: a code executor that runs code blocks in a sandbox.

async with PodflareCodeExecutor() as executor:
    agent = CodeExecutorAgent("executor", code_executor=executor)
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from podflare.integrations.results import INTERRUPTED, MAX_OUTPUT
from podflare.integrations.running import CodeRunner, restored

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from podflare.aio.sandbox import AsyncSandbox
    from podflare.integrations.settings import SandboxSettings
    from podflare.sandbox import Sandbox
    from podflare.types import Language

try:
    from autogen_core import CancellationToken, Component
    from autogen_core.code_executor import CodeBlock, CodeExecutor, CodeResult
    from pydantic import BaseModel
except ImportError as error:
    message = "AutoGen is missing; install it with: pip install 'podflare[autogen]'"
    raise ImportError(message) from error

_LANGUAGES: dict[str, Language] = {
    "python": "python",
    "py": "python",
    "bash": "bash",
    "sh": "bash",
    "shell": "bash",
}


class PodflareCodeExecutorConfig(BaseModel):
    """What `dump_component` writes: arguments of the executor, with the id of its sandbox, and never a key."""

    settings: dict[str, Any]


class PodflareCodeExecutor(CodeExecutor, Component[PodflareCodeExecutorConfig]):
    """Runs blocks of Python, which share one interpreter, and of bash, in one sandbox.

    Args:
        sandbox: The sandbox to use, of either kind, or the id of one; it stays the caller's to close. Without one, the
            executor makes its own when there is code to run, and destroys it at the end of its `async with`, by `stop`
            and by `restart`.
        timeout: Seconds that a block may take; None for no limit.
        max_output: Characters of stdout, and of stderr, to keep of each block; None for all.
        **settings: Arguments of `Sandbox`: `template`, `host`, `api_key`, `client`, `timeout_seconds`, ...
    """

    component_config_schema = PodflareCodeExecutorConfig
    component_provider_override = "podflare.integrations.autogen.PodflareCodeExecutor"

    def __init__(
        self,
        sandbox: Sandbox | AsyncSandbox | str | None = None,
        *,
        timeout: float | None = 60,
        max_output: int | None = MAX_OUTPUT,
        **settings: Unpack[SandboxSettings],
    ) -> None:
        self._runner = CodeRunner(sandbox, timeout=timeout, max_output=max_output, settings=settings)

    async def execute_code_blocks(
        self, code_blocks: list[CodeBlock], cancellation_token: CancellationToken
    ) -> CodeResult:
        """Run the blocks, up to the first that fails. The output is what they have printed.

        Raises:
            ValueError: If a block is neither Python nor bash.
            TimeoutError: If a block takes too long; it has been interrupted, and the state is kept.
            asyncio.CancelledError: If the token is cancelled; the code has been interrupted.
            PodflareError: If the sandbox fails.
        """
        for block in code_blocks:
            if block.language.lower() not in _LANGUAGES:
                raise ValueError(f"a block is of {', '.join(_LANGUAGES)}, not of {block.language!r}")
        output: list[str] = []
        exit_code = 0
        for block in code_blocks:
            running = asyncio.ensure_future(
                self._runner.run_async(block.code, _LANGUAGES[block.language.lower()])
            )
            cancellation_token.link_future(running)
            result = await running
            exit_code = result.exit_code
            output += filter(None, [result.stdout, result.stderr])
            if exit_code == INTERRUPTED:
                raise asyncio.TimeoutError("\n".join(output))
            if exit_code:
                break
        return CodeResult(exit_code=exit_code, output="\n".join(output))

    async def start(self) -> None:
        """Nothing to do: the sandbox is made when there is code to run."""

    async def stop(self) -> None:
        """Destroy the executor's own sandbox."""
        await self._runner.close_async()

    async def restart(self) -> None:
        """Destroy the executor's own sandbox; the next block finds a fresh one. A given one is left as it is."""
        await self._runner.close_async()

    def _to_config(self) -> PodflareCodeExecutorConfig:
        return PodflareCodeExecutorConfig(settings=self._runner.settings())

    @classmethod
    def _from_config(cls, config: PodflareCodeExecutorConfig) -> Self:
        executor = cls()
        executor._runner = restored(True, dict(config.settings))
        return executor
