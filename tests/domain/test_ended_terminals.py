"""How many terminals a machine remembers; asked of the domain, where the number can be small."""

from __future__ import annotations

import asyncio

import pytest

from podflare_emulator.domain import terminals
from podflare_emulator.domain.registry import SandboxOrder
from podflare_emulator.domain.terminals import Session, TerminalOrder
from podflare_emulator.vocabulary.sandbox_errors import TerminalNotFound

from ..matrix import SLOW
from .test_order_of_arrival import serving


@SLOW
def test_the_latest_that_have_ended_can_be_read_and_older_ones_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(terminals, "ENDED", 2)

    async def start_and_end() -> None:
        async with serving() as registry:
            sandbox = await registry.create(SandboxOrder())

            async def started(code: str) -> Session:
                return await sandbox.start_terminal(TerminalOrder(code, None, 80, 24, [], None))

            async def ended(session: Session) -> Session:
                while not session.ended:
                    await session.wait(session.end)
                return session

            last = await started("read line")
            first, second = [await ended(await started("true")) for _ in range(2)]
            last.terminal.write(b"\r")
            await ended(last)
            running = await started("read line")
            for one in (second, last, running):
                assert sandbox.terminals.get(one.id) is one
            with pytest.raises(TerminalNotFound):
                sandbox.terminals.get(first.id)

    asyncio.run(start_and_end())
