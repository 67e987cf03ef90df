"""Sandboxes that a test leaves open: in production each would run, and cost money, until its time limit."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from podflare_emulator.handle.clients.origins import Origin


class SandboxLeakWarning(pytest.PytestWarning):
    """A test has left a sandbox open. It was destroyed."""


def close_tools(made: Collection[str], undisturbed: AbstractContextManager[None]) -> None:
    """Close the sandboxes that tools for agent frameworks have made for themselves: these are not leaks.

    A program keeps such a tool for as long as it runs; the tool's next call makes another sandbox.
    """
    adapters: Any = sys.modules.get("podflare.integrations.running")
    # A test may have stopped the server, and threads that it left behind may still make tools.
    with suppress(Exception):
        tools = [tool for tool in getattr(adapters, "runners", ()) if tool.own_id in made]
        if tools:
            with undisturbed:
                for tool in tools:
                    tool.close()


def report(
    left_open: Sequence[tuple[str, Origin | None]], policy: Literal["ignore", "warn", "error"]
) -> None:
    """Reports each by its id and origin. A warning points at that place; an error fails the test's teardown."""
    if policy == "error" and left_open:
        lines = "\n".join(f"  {name}, {_made(origin)}" for name, origin in left_open)
        pytest.fail(
            f"{len(left_open)} sandbox(es) left open; close them, or use a with block:\n{lines}",
            pytrace=False,
        )
    if policy == "warn":
        for name, origin in left_open:
            file, line = origin or (__file__, 1)
            message = f"sandbox {name} was left open, {_made(origin)}; close it, or use a with block"
            warnings.warn_explicit(SandboxLeakWarning(message), None, file, line)


def _made(origin: Origin | None) -> str:
    if origin is None:
        return "made by a separate program, without the SDK, or by a call whose answer was lost"
    return f"made at {os.path.relpath(origin.file)}:{origin.line}"
