"""Inspects a sandbox for a test. It is no exec and not in the journal, but takes its turn like one."""

from __future__ import annotations

import asyncio
from typing import Any

from podflare_emulator.domain.sandbox import Sandbox
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest, SandboxNotFound

_PATIENCE = 10.0  # seconds: a test that waits for code that waits for the test must not hang


async def inspect(sandbox: Sandbox, question: dict[str, Any]) -> dict[str, Any]:
    """Waits a while for running code. Raises InvalidRequest, SandboxNotFound, GuestFailed."""
    try:
        await asyncio.wait_for(sandbox.turn.acquire(), _PATIENCE)
    except asyncio.TimeoutError:
        raise InvalidRequest(
            f"sandbox {sandbox.id} is busy: what runs in it has not ended for {_PATIENCE:g} s; "
            "inspect it before or after"
        ) from None
    try:
        machine = sandbox.working_machine()
        try:
            return await machine.guest.inspect(question)
        except HostingError as error:
            if sandbox.machine is not machine:
                raise SandboxNotFound from None
            raise InvalidRequest(f"sandbox {sandbox.id}: {error}") from None
    finally:
        sandbox.turn.release()
