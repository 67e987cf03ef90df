"""Google Gemini: declare the tool to the model, and answer its function calls.

config = GenerateContentConfig(tools=[Tool(function_declarations=[podflare_function_declaration()])])
for call in response.function_calls:
    parts.append(Part.from_function_response(name=call.name, response=run_function_call(call, sandbox)))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from podflare.integrations.definition import DESCRIPTION, NAME, chosen, parameters
from podflare.integrations.results import MAX_OUTPUT, fields_of
from podflare.integrations.running import runner_in
from podflare.types import Language

if TYPE_CHECKING:
    from podflare.aio.sandbox import AsyncSandbox
    from podflare.sandbox import Sandbox


class FunctionCall(Protocol):
    """What a function call is, be it google-genai's or another's."""

    @property
    def name(self) -> str | None: ...

    @property
    def args(self) -> dict[str, Any] | None: ...


def podflare_function_declaration() -> dict[str, Any]:
    """The declaration of the function `run_code`, for `Tool(function_declarations=[...])` or the REST API's JSON."""
    return {"name": NAME, "description": DESCRIPTION, "parameters": parameters()}


def run_function_call(
    function_call: FunctionCall | Mapping[str, Any],
    sandbox: Sandbox,
    *,
    timeout: float | None = None,
    max_output: int | None = MAX_OUTPUT,
) -> dict[str, Any]:
    """Run the code of a function call in a sandbox and return the response to send back.

    The package `google-genai` is not needed: a call may as well be the dict of the JSON.

    Args:
        function_call: With a `name` and `args`, which hold `code` and perhaps `language`.
        sandbox: Where to run it.
        timeout: Seconds after which the code is interrupted, and the model told so; None for no limit.
        max_output: Characters of stdout, and of stderr, that the model is given; None for all.

    Returns:
        `stdout`, `stderr` and `exit_code`; or `error`, if the call is not one of `run_code` or holds no code.

    Raises:
        PodflareError: If the sandbox fails. That is for the program to see: the model cannot mend it.
    """
    try:
        asked = _asked(function_call)
    except ValueError as error:
        return {"error": str(error)}
    return fields_of(runner_in(sandbox, timeout=timeout, max_output=max_output).run(*asked))


async def async_run_function_call(
    function_call: FunctionCall | Mapping[str, Any],
    sandbox: Sandbox | AsyncSandbox,
    *,
    timeout: float | None = None,
    max_output: int | None = MAX_OUTPUT,
) -> dict[str, Any]:
    """As `run_function_call`, in a sandbox of either kind. Cancelling it interrupts the code."""
    try:
        asked = _asked(function_call)
    except ValueError as error:
        return {"error": str(error)}
    runner = runner_in(sandbox, timeout=timeout, max_output=max_output)
    return fields_of(await runner.run_async(*asked))


def _asked(function_call: FunctionCall | Mapping[str, Any]) -> tuple[str, Language]:
    if isinstance(function_call, Mapping):
        name, arguments = function_call.get("name", NAME), function_call.get("args")
    else:
        name, arguments = function_call.name, function_call.args
    if name != NAME:
        raise ValueError(f"there is no function {name!r}; call {NAME}")
    arguments = arguments or {}
    return chosen(arguments.get("code"), arguments.get("language"))
