"""smolagents: an executor that runs the code of a `CodeAgent` in a sandbox.

with PodflareExecutor() as executor:
    agent = CodeAgent(tools=[], model=model, executor=executor)
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from podflare.integrations.evaluating import evaluate
from podflare.integrations.running import CodeRunner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from typing_extensions import Unpack

    from podflare.integrations.settings import SandboxSettings
    from podflare.sandbox import Sandbox

try:
    from smolagents.local_python_executor import CodeOutput
    from smolagents.monitoring import AgentLogger, LogLevel
    from smolagents.remote_executors import RemotePythonExecutor
    from smolagents.utils import AgentError
except ImportError as error:
    message = "smolagents is missing; install it with: pip install 'podflare[smolagents]'"
    raise ImportError(message) from error


class PodflareExecutor(RemotePythonExecutor):
    """For `CodeAgent(executor=PodflareExecutor())`: the agent's code and its tools run in the sandbox.

    Args:
        sandbox: The sandbox to use, or the id of one; it stays the caller's to close. Without one, the executor makes
            its own when there is code to run, and destroys it by `cleanup`, which the agent's own `cleanup` calls, or
            at the end of a block of `with`.
        additional_imports: Packages to install in the sandbox.
        logger: Where the framework's log goes. Default: one that prints errors.
        allow_pickle: As in the framework's other executors.
        timeout: Seconds after which code is interrupted, and the model told so; None for no limit.
        **settings: Arguments of `Sandbox`: `template`, `host`, `api_key`, `client`, `timeout_seconds`, ...
    """

    def __init__(
        self,
        sandbox: Sandbox | str | None = None,
        *,
        additional_imports: Sequence[str] = (),
        logger: Any = None,
        allow_pickle: bool = False,
        timeout: float | None = None,
        **settings: Unpack[SandboxSettings],
    ) -> None:
        # The framework cuts what it tells the model itself.
        self._runner = CodeRunner(sandbox, timeout=timeout, max_output=None, settings=settings)
        super().__init__(list(additional_imports), logger or AgentLogger(level=LogLevel.ERROR), allow_pickle)
        self.installed_packages = self.install_packages(list(additional_imports))

    def run_code_raise_errors(self, code: str) -> CodeOutput:
        """Run code. Raises AgentError, with what was printed and the traceback, if it fails."""
        done = evaluate(self._runner, code)
        if done.error == self.FINAL_ANSWER_EXCEPTION:
            answer = self._deserialize_final_answer(done.message, self.allow_pickle)
            return CodeOutput(output=answer, logs=done.printed, is_final_answer=True)
        if done.error is not None:
            raise AgentError(f"{done.printed}\n{done.traceback}".strip(), self.logger)
        return CodeOutput(output=done.text, logs=done.printed, is_final_answer=False)

    def install_packages(self, additional_imports: list[str]) -> list[str]:
        """Install packages with the sandbox's pip."""
        if additional_imports:
            # Quoted: of a requirement such as numpy>=2 bash would make a file.
            result = self._runner.run(f"python3 -m pip install {shlex.join(additional_imports)}", "bash")
            if not result.ok:
                raise AgentError(f"pip install failed:\n{result.stderr}", self.logger)
        return additional_imports

    def cleanup(self) -> None:
        """Destroy the executor's own sandbox. A call after it makes another."""
        self._runner.close()

    def __enter__(self) -> PodflareExecutor:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.cleanup()
