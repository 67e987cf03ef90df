"""DSPy: an interpreter that runs the code of `ProgramOfThought`, `CodeAct` and `RLM` in a sandbox.

dspy.configure(interpreter_factory=PodflareInterpreter)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from podflare.errors import PodflareError
from podflare.integrations.evaluating import evaluate
from podflare.integrations.running import CodeRunner

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Unpack

    from podflare.integrations.settings import SandboxSettings
    from podflare.sandbox import Sandbox

try:
    from dspy.primitives.code_interpreter import CodeExecutionError, CodeInterpreterError, FinalOutput
except ImportError as error:
    message = "DSPy is missing; install it with: pip install 'podflare[dspy]'"
    raise ImportError(message) from error

_SUBMIT = """
class FinalOutput(BaseException):
    pass

def SUBMIT(*args, _fields={fields!a}, **named):
    import json
    if args and named:
        raise TypeError("SUBMIT takes positional or keyword values, not both")
    values = dict(zip(_fields, args)) if args else named
    if len(args) > len(_fields) or set(values) != set(_fields):
        raise TypeError("SUBMIT takes one value for each of: " + ", ".join(_fields))
    raise FinalOutput(json.dumps(values, default=repr))
"""


class PodflareInterpreter:
    """What DSPy calls a `CodeInterpreter`.

    Args:
        sandbox: The sandbox to use, or the id of one; it stays the caller's to close. Without one, the interpreter
            makes its own, and destroys it by `shutdown`.
        tools: Functions of this process that the code may call. Arguments and results are what JSON has. While there
            are any, the code runs in a thread of the sandbox.
        output_fields: What `SUBMIT` takes, each `{"name": str, ...}`; by default one value, `output`.
        timeout: Seconds after which code is interrupted, and the model told so; None for no limit.
        **settings: Arguments of `Sandbox`: `template`, `host`, `api_key`, `client`, `timeout_seconds`, ...
    """

    execution_instructions = (
        "Code runs as Python in a persistent interpreter of an isolated Linux sandbox. Names, imports and files "
        "persist between executions. Host tools and SUBMIT are available as global functions."
    )

    def __init__(
        self,
        sandbox: Sandbox | str | None = None,
        *,
        tools: Mapping[str, Callable[..., Any]] | None = None,
        output_fields: list[dict[str, Any]] | None = None,
        timeout: float | None = None,
        **settings: Unpack[SandboxSettings],
    ) -> None:
        # The framework cuts what it tells the model itself.
        self._runner = CodeRunner(sandbox, timeout=timeout, max_output=None, settings=settings)
        self._tools = dict(tools or {})
        self.output_fields = output_fields
        self._ended = False

    @property
    def tools(self) -> dict[str, Callable[..., Any]]:
        """Functions that the code may call; the dict may be changed."""
        return self._tools

    def start(self) -> None:
        """Make the sandbox now rather than with the first code."""
        self._check_open()
        try:
            self._runner.sandbox()
        except PodflareError as error:
            raise CodeInterpreterError(str(error)) from error

    def execute(self, code: str, variables: dict[str, Any] | None = None) -> Any:
        """Run code.

        Returns:
            A `FinalOutput` if it called `SUBMIT`, else the value of its last expression, else what it printed, or None.

        Raises:
            CodeExecutionError: If it fails, or takes too long.
            SyntaxError: If it is no Python.
            CodeInterpreterError: If the sandbox fails, or the interpreter was shut down.
        """
        self._check_open()
        names = [str(field["name"]) for field in self.output_fields or [{"name": "output"}]]
        try:
            done = evaluate(self._runner, code, variables, self._tools, prelude=_SUBMIT.format(fields=names))
        except PodflareError as error:
            raise CodeInterpreterError(str(error)) from error
        if done.error == "FinalOutput":
            return FinalOutput(json.loads(done.message))
        if done.error == "SyntaxError":
            raise SyntaxError(done.message)
        if done.error is not None:
            raise CodeExecutionError(f"{done.error}: {done.message}")
        return done.value if done.value is not None else (done.printed or None)

    def shutdown(self) -> None:
        """Destroy the interpreter's own sandbox. It cannot be used again."""
        self._ended = True
        self._runner.close()

    def _check_open(self) -> None:
        if self._ended:
            raise CodeInterpreterError("this interpreter was shut down; make another")

    def __enter__(self) -> PodflareInterpreter:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.shutdown()
