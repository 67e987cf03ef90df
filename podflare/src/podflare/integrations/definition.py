"""The description of the tool for a model, the same for all frameworks."""

from __future__ import annotations

from typing import Any

from podflare.types import Language

NAME = "run_code"

DESCRIPTION = (
    "Run code in an isolated sandbox. Returns stdout, stderr and the exit code. Python runs in one long-lived "
    "interpreter, where names, imports and files of earlier calls are still there; only what is printed is returned. "
    "Bash runs in a fresh process each time, on the same files."
)

CODE = "The code to run."
LANGUAGE = "python, which is the default, or bash."


def parameters() -> dict[str, Any]:
    """The JSON schema of the tool's input; a new dict, which the caller may change."""
    return {
        "type": "object",
        "properties": {
            "code": {"type": "string", "description": CODE},
            "language": {"type": "string", "enum": ["python", "bash"], "description": LANGUAGE},
        },
        "required": ["code"],
    }


def chosen(code: object, language: object = None) -> tuple[str, Language]:
    """What a model has asked for. Raises ValueError, in words for the model, if that is no code to run."""
    if not isinstance(code, str):
        raise ValueError(f"'code' must be a string with the code to run, not {code!r}")
    if language is None or language == "python":
        return code, "python"
    if language == "bash":
        return code, "bash"
    raise ValueError(f"the language must be 'python' or 'bash', not {language!r}")
