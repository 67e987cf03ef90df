"""What the adapters have in common: the sandbox of a tool, and how the model's code is run in it."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress

from podflare.core.wire import result_of
from podflare.errors import PodflareError
from podflare.sandbox import Sandbox
from podflare.types import ExecResult, Language


async def run_in_thread(sandbox: Callable[[], Sandbox], code: str, language: Language) -> ExecResult:
    """Run code in a sandbox, which may have to be made, while the event loop goes on.

    Cancelling it interrupts the code.
    """
    events = (await asyncio.to_thread(sandbox)).run_code_stream(code, language)
    try:
        return await asyncio.to_thread(result_of, events)
    except asyncio.CancelledError:
        # The thread cannot be cancelled: this ends it, and the code.
        events.close()
        raise


def text_for_model(result: ExecResult) -> str:
    """A result as a model reads it."""
    return f"stdout:\n{result.stdout}\nstderr:\n{result.stderr}\nexit_code: {result.exit_code}"


class SandboxHolder:
    """The sandbox of one tool: the caller's, or one that is created when it is first needed."""

    def __init__(self, given: Sandbox | None, host: str | None, api_key: str | None, template: str) -> None:
        self._sandbox = given
        self._host = host
        self._api_key = api_key
        self._template = template
        # A model may call a tool several times at once.
        self._lock = threading.Lock()

    def sandbox(self) -> Sandbox:
        """The one of this tool."""
        with self._lock:
            if self._sandbox is None:
                self._sandbox = self.fresh()
                weakref.finalize(self, _close_if_reachable, self._sandbox)
            return self._sandbox

    def fresh(self) -> Sandbox:
        """One for a single call; the caller closes it."""
        return Sandbox(host=self._host, api_key=self._api_key, template=self._template)


def _close_if_reachable(sandbox: Sandbox) -> None:
    # Nobody can catch an error here, and a server that is gone has taken its sandboxes along.
    with suppress(PodflareError):
        sandbox.close()
