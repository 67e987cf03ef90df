"""Jails and guests made ahead of demand: as many as were taken at once, the others after a pause."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from podflare_emulator.domain.ahead.pool import Pool
from podflare_emulator.hosting import pause
from podflare_emulator.hosting.jails import Jails


class Maker:
    def __init__(self) -> None:
        self.made = 0

    async def make(self) -> Any:
        self.made += 1
        return SimpleNamespace(settled_at=0, is_awaited=False, ended=False)

    async def has_made(self, count: int) -> None:
        while self.made < count:
            await asyncio.sleep(0.001)


def _jails(maker: Maker) -> Callable[[], Any]:
    jails = Jails(maker.make, spare=8)
    jails.refill()

    async def take() -> None:
        for jail in await jails.take(1):
            jail.is_awaited = False

    return take


def _guests(maker: Maker) -> Callable[[], Any]:
    pool = Pool(maker.make, size=4)
    pool.refill()
    return pool.take


@pytest.mark.parametrize("start", [_jails, _guests])
def test_as_many_as_were_taken_come_without_a_pause(monkeypatch: pytest.MonkeyPatch, start: Any) -> None:
    monkeypatch.setattr(pause, "_LATER", 3600)

    async def check() -> None:
        maker = Maker()
        take = start(maker)
        for made in (2, 4):  # the one that was taken, and one or two ahead
            await take()
            await maker.has_made(made)

    asyncio.run(asyncio.wait_for(check(), 20))


@pytest.mark.parametrize(("start", "all_of_them"), [(_jails, 8), (_guests, 4)])
def test_the_others_follow(monkeypatch: pytest.MonkeyPatch, start: Any, all_of_them: int) -> None:
    monkeypatch.setattr(pause, "_LATER", 0.001)

    async def check() -> None:
        maker = Maker()
        start(maker)
        await maker.has_made(all_of_them)

    asyncio.run(asyncio.wait_for(check(), 20))
