"""LangChain and LangGraph: a tool that runs the model's code in a sandbox.

agent = create_agent(model, tools=[PodflareTool()])
"""

from __future__ import annotations

from typing import Any

from podflare.aio.sandbox import AsyncSandbox
from podflare.integrations.definition import CODE, DESCRIPTION, LANGUAGE, NAME
from podflare.integrations.results import MAX_OUTPUT
from podflare.integrations.running import CodeRunner
from podflare.integrations.settings import SandboxSettings
from podflare.sandbox import Sandbox
from podflare.types import Language

try:
    from langchain_core.tools import BaseTool
    from pydantic import BaseModel, Field, PrivateAttr, model_serializer
except ImportError as error:
    message = "LangChain is missing; install it with: pip install 'podflare[langchain]'"
    raise ImportError(message) from error


class _Input(BaseModel):
    code: str = Field(description=CODE)
    language: Language = Field(default="python", description=LANGUAGE)


class PodflareTool(BaseTool):
    """A tool named `run_code`.

    Args:
        sandbox: The sandbox to use, of either kind, or the id of one; it stays the caller's to close. Without one, the
            tool makes its own when the model first calls it, and destroys it by `close`, or when nothing refers to the
            tool, or when Python exits. With an `AsyncSandbox` only `ainvoke` works.
        persistent_sandbox: Whether what the model defines in one call is there in the next. Without it each call has
            a fresh sandbox, which is destroyed after it.
        timeout: Seconds after which code is interrupted, and the model told so; None for no limit.
        max_output: Characters of stdout, and of stderr, that the model is given; None for all.
        **settings: Arguments of `Sandbox` (`template`, `host`, `api_key`, `client`, `timeout_seconds`, ...) and of
            LangChain's `BaseTool`.

    The model gets stdout, stderr and the exit code as text. Cancelling an async run interrupts the code. If the sandbox
    fails, the run ends with a `PodflareError`.

    A tool may be part of a graph's state. Copies, pickles and checkpoints of it lead to the same sandbox; once it was
    written down, only `close` and the server's limits end it. They hold no API key.

    Raises:
        InvalidArgumentError: If a sandbox is given with settings of one, or is not to persist. It is a `ValueError`.
    """

    name: str = NAME
    description: str = DESCRIPTION
    args_schema: Any = _Input
    persistent_sandbox: bool = True
    _runner: CodeRunner = PrivateAttr()

    def __init__(
        self,
        sandbox: Sandbox | AsyncSandbox | str | None = None,
        *,
        persistent_sandbox: bool = True,
        timeout: float | None = None,
        max_output: int | None = MAX_OUTPUT,
        **settings: Any,
    ) -> None:
        of_sandbox = {
            name: settings.pop(name) for name in SandboxSettings.__annotations__ if name in settings
        }
        for name in settings:
            if name not in type(self).model_fields:
                raise TypeError(f"there is no argument {name!r}: neither Sandbox nor BaseTool has it")
        super().__init__(persistent_sandbox=persistent_sandbox, **settings)
        self._runner = CodeRunner(
            sandbox,
            persistent=persistent_sandbox,
            timeout=timeout,
            max_output=max_output,
            settings=of_sandbox,
        )

    def close(self) -> None:
        """Destroy the tool's own sandbox. A call after it makes another."""
        self._runner.close()

    def _run(self, code: str, language: Language = "python") -> str:
        return self._runner.answer(code, language)

    async def _arun(self, code: str, language: Language = "python") -> str:
        return await self._runner.answer_async(code, language)

    @model_serializer
    def _written_down(self) -> dict[str, Any]:
        """What LangGraph's checkpoints keep: they make the tool again from these arguments."""
        named = {"name": self.name, "description": self.description}
        return {**named, "persistent_sandbox": self.persistent_sandbox, **self._runner.settings()}
