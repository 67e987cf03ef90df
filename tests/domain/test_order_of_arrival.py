"""Whoever came first has the turn first, whatever is arranged; asked of the domain, where arrival is one moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from podflare_emulator.control.stub_calls import StubControl
from podflare_emulator.domain.registry import SandboxOrder, SandboxRegistry
from podflare_emulator.domain.sandbox import Sandbox
from podflare_emulator.hosting.isolation import launch
from podflare_emulator.hosting.machine.interpreter import find
from podflare_emulator.hosting.warden import Config
from podflare_emulator.vocabulary.sandbox_errors import GuestFailed, SandboxNotFound

from ..matrix import SLOW


@asynccontextmanager
async def serving(seed: int | None = None) -> AsyncIterator[SandboxRegistry]:
    launched = await launch(Config("portable", find(None)))
    registry = SandboxRegistry(launched.launcher, pool_size=0, seed=seed)
    registry.warm(launched.guest)
    try:
        yield registry
    finally:
        await registry.close()
        await launched.launcher.stop()


async def said(sandbox: Sandbox, code: str) -> list[str | int]:
    execution = await sandbox.exec(code, "python")
    data: list[str | int] = []
    while not data or not isinstance(data[-1], int):
        data += [event.data for event in await execution.next_events()]
    return data


@SLOW
def test_a_fork_does_not_overtake_an_exec_where_a_stub_is_arranged() -> None:
    async def exec_then_fork() -> list[list[str | int]]:
        async with serving() as registry:
            await StubControl(registry.stubs, registry.commands).add_stub("pip install", stdout="Done")
            sandbox = await registry.create(SandboxOrder())
            seen = []
            for number in range(5):
                arrived = said(sandbox, f"n = {number}"), sandbox.fork(1)
                _, forked = await asyncio.gather(*arrived)
                seen.append(await said(forked.children[0], "print(n)"))
            return seen

    assert asyncio.run(exec_then_fork()) == [[str(number), 0] for number in range(5)]


@SLOW
def test_a_stub_is_not_used_up_by_an_exec_in_a_sandbox_that_is_gone() -> None:
    async def exec_after_the_end() -> list[tuple[int, int]]:
        async with serving() as registry:
            stubs = StubControl(registry.stubs, registry.commands)
            await stubs.add_stub("pip install", stdout="Done", times=1)
            sandbox = await registry.create(SandboxOrder())
            await registry.destroy(sandbox.id)
            with pytest.raises(SandboxNotFound):
                await sandbox.exec("pip install x", "bash")
            return await stubs.stubs_used()

    assert asyncio.run(exec_after_the_end()) == [(0, 0)]


@SLOW
def test_a_merge_ends_the_wait_of_an_exec_in_the_winner_and_not_of_one_in_the_parent() -> None:
    async def merge_meanwhile() -> list[str | int]:
        async with serving() as registry:
            stubs = StubControl(registry.stubs, registry.commands)
            asked = await stubs.add_stub("model", asks=True)
            parent = await registry.create(SandboxOrder())
            (winner,) = (await parent.fork(1)).children
            tasks = asyncio.all_tasks()
            waiting = [asyncio.ensure_future(said(one, "model()")) for one in (parent, winner)]
            questions = {}
            for _ in waiting:
                question = await stubs.next_question(asked)
                assert question
                questions[question["sandbox"]] = question["question"]
            await registry.merge(parent.id, winner.id)
            with pytest.raises(SandboxNotFound):
                await asyncio.wait_for(waiting[1], 30)
            await stubs.reply(questions[parent.id], {"stdout": "answered"})
            answer = await waiting[0]
            await asyncio.sleep(0)
            assert {one for one in asyncio.all_tasks() - tasks if "Event.wait" in repr(one)} == set()
            return answer

    assert asyncio.run(merge_meanwhile()) == ["answered", 0]


@SLOW
def test_a_fork_that_a_reset_overtakes_leaves_no_child_of_a_sandbox_that_is_kept() -> None:
    async def reset_meanwhile() -> list[str]:
        async with serving() as registry:
            kept = await registry.create(SandboxOrder())
            forking = asyncio.ensure_future(kept.fork(2))
            await asyncio.sleep(0)
            await registry.destroy_all([kept.id])
            with pytest.raises(GuestFailed, match="the emulator was reset"):
                await forking
            assert await said((await kept.fork(1)).children[0], "print(1)") == ["1", 0]
            return await registry.destroy_all()

    assert len(asyncio.run(reset_meanwhile())) == 2


@SLOW
def test_a_create_that_a_reset_overtakes_leaves_no_sandbox() -> None:
    async def reset_meanwhile() -> list[str]:
        async with serving() as registry:
            await registry.create(SandboxOrder())  # takes the ready guest
            creating = asyncio.ensure_future(registry.create(SandboxOrder()))
            await asyncio.sleep(0)
            await registry.destroy_all()
            with pytest.raises(GuestFailed, match="the emulator was reset"):
                await creating
            return await registry.destroy_all()

    assert asyncio.run(reset_meanwhile()) == []
