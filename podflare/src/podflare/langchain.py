"""LangChain and LangGraph: a tool that runs the model's code in a sandbox.

agent = create_agent(model, tools=[PodflareTool()])
"""

from __future__ import annotations

from typing import Any

from podflare.integrations.running import SandboxHolder, run_in_thread, text_for_model
from podflare.sandbox import Sandbox
from podflare.types import Language

try:
    from langchain_core.tools import BaseTool
    from pydantic import BaseModel, Field, PrivateAttr
except ImportError as error:
    message = "LangChain is missing; install it with: pip install 'podflare[langchain]'"
    raise ImportError(message) from error


class _Input(BaseModel):
    code: str = Field(description="The code to run")
    language: Language = Field(default="python", description="python or bash")


class PodflareTool(BaseTool):
    """A tool named `run_code`.

    Args:
        sandbox: The sandbox to use; it stays the caller's to close. Without one, the tool makes its own when the model
            first calls it, and destroys it when nothing refers to the tool any more, or else when Python exits.
        persistent_sandbox: Whether what the model defines in one call is there in the next. Without it each call has
            a fresh sandbox, which is destroyed after it.
        host, api_key, template: As in `Sandbox`.

    The model gets stdout, stderr and the exit code as text. From async code it runs in a thread, and cancelling the run
    interrupts it. If the sandbox fails, the run ends with a `PodflareError`.

    Raises:
        ValueError: If a sandbox is given that is not to persist.
    """

    name: str = "run_code"
    description: str = (
        "Run code in an isolated sandbox. Returns stdout, stderr and the exit code. Python runs in one long-lived "
        "interpreter, and only what is printed is returned. Bash runs in a fresh process each time, on the same files."
    )
    args_schema: Any = _Input
    persistent_sandbox: bool = True
    _holder: SandboxHolder = PrivateAttr()

    def __init__(
        self,
        sandbox: Sandbox | None = None,
        *,
        persistent_sandbox: bool = True,
        host: str | None = None,
        api_key: str | None = None,
        template: str = "default",
        **tool: Any,
    ) -> None:
        if sandbox is not None and not persistent_sandbox:
            raise ValueError(
                "give either a sandbox, or persistent_sandbox=False: then each call makes its own"
            )
        super().__init__(persistent_sandbox=persistent_sandbox, **tool)
        self._holder = SandboxHolder(sandbox, host, api_key, template)

    def _run(self, code: str, language: Language = "python") -> str:
        if self.persistent_sandbox:
            return text_for_model(self._holder.sandbox().run_code(code, language))
        with self._holder.fresh() as sandbox:
            return text_for_model(sandbox.run_code(code, language))

    async def _arun(self, code: str, language: Language = "python") -> str:
        if self.persistent_sandbox:
            return text_for_model(await run_in_thread(self._holder.sandbox, code, language))
        made: list[Sandbox] = []

        def fresh() -> Sandbox:
            made.append(self._holder.fresh())
            return made[0]

        try:
            return text_for_model(await run_in_thread(fresh, code, language))
        finally:
            for sandbox in made:
                sandbox.close()
