"""Arguments that somebody else has written, in JSON or in a dict: do they fit a function?"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def signature_mismatch(function: Callable[..., Any], *given: Any, **named: Any) -> str | None:
    """Why the function cannot be called with these, and what it takes; None if it can."""
    signature = inspect.signature(function)
    try:
        signature.bind(*given, **named)
    except TypeError as error:
        names = [name for name in signature.parameters if name != "self"]
        return f"{error}; there are {', '.join(names)}" if names else str(error)
    return None
