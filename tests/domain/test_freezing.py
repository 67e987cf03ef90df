"""What happens to a sandbox while it is being frozen; asked of the domain, where that can be held up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from podflare_emulator.domain.registry import ResumeOrder, SandboxOrder, SandboxRegistry
from podflare_emulator.domain.sandbox import Frozen, Sandbox
from podflare_emulator.domain.testing.death import LastWords
from podflare_emulator.vocabulary.sandbox_errors import GuestFailed, SandboxNotFound, SpaceNotFound

from ..matrix import SLOW
from .test_order_of_arrival import said, serving

_ORDER = SandboxOrder(persistent=True, timeout_seconds=60)


def _space(registry: SandboxRegistry) -> str:
    return str(registry.webhooks.described()[-1]["body"]["space_id"])


@SLOW
def test_a_reset_in_the_middle_leaves_no_space(monkeypatch: pytest.MonkeyPatch) -> None:
    async def reset_meanwhile() -> None:
        async with serving() as registry:
            sandbox = await registry.create(_ORDER)
            machine = sandbox.machine
            assert machine
            reached, go_on = asyncio.Event(), asyncio.Event()

            async def keep(*about: Any) -> None:
                reached.set()
                await go_on.wait()

            monkeypatch.setattr(registry._spaces, "keep", keep)
            moving = asyncio.ensure_future(registry.clock.advance(60))
            await reached.wait()
            await registry.destroy_all()
            go_on.set()
            await moving
            assert [one["body"]["type"] for one in registry.webhooks.described()][-1] == "sandbox.destroyed"
            await machine.guest.gone.wait()

    asyncio.run(reset_meanwhile())


@SLOW
def test_a_fork_that_is_under_way_makes_no_child() -> None:
    async def fork_meanwhile() -> list[str | int]:
        async with serving() as registry:
            sandbox = await registry.create(_ORDER)
            await said(sandbox, "n = 41")
            forking = asyncio.ensure_future(sandbox.fork(3))
            await asyncio.sleep(0)
            await registry.clock.advance(60)
            with pytest.raises(SandboxNotFound):
                await forking
            resumed = await registry.resume(_space(registry), ResumeOrder())
            return await said(resumed, "print(n + 1)")

    assert asyncio.run(fork_meanwhile()) == ["42", 0]


@SLOW
def test_an_exec_whose_client_is_going_when_it_is_frozen_ends_once() -> None:
    async def abandon_and_freeze() -> list[str | int]:
        async with serving() as registry:
            sandbox = await registry.create(_ORDER)
            execution = await sandbox.exec("import time; time.sleep(600)", "python")
            going = asyncio.ensure_future(execution.abandon())
            await asyncio.sleep(0)
            await asyncio.gather(going, registry.clock.advance(60))
            resumed = await registry.resume(_space(registry), ResumeOrder())
            return await said(resumed, "print('free')")

    assert asyncio.run(abandon_and_freeze()) == ["free", 0]


@SLOW
def test_an_interpreter_that_dies_meanwhile_leaves_no_space() -> None:
    async def die_meanwhile() -> None:
        async with serving() as registry:
            sandbox = await registry.create(_ORDER)
            assert sandbox.machine
            guest = sandbox.machine.guest
            stop = guest.stop

            async def stop_what_has_died() -> None:
                await asyncio.wait_for(guest.gone.wait(), 20)
                await stop()

            guest.stop = stop_what_has_died  # type: ignore[method-assign]
            dying = asyncio.ensure_future(sandbox.exec("1", "python", LastWords(0, lambda: None)))
            await asyncio.sleep(0)
            await registry.clock.advance(60)
            await asyncio.gather(dying, return_exceptions=True)
            assert registry.webhooks.described()[-1]["body"]["type"] == "sandbox.destroyed"
            with pytest.raises(SpaceNotFound):
                await registry.resume("spc_" + "0" * 32, ResumeOrder())

    asyncio.run(die_meanwhile())


@SLOW
def test_a_space_is_another_machines_only_once_at_a_time() -> None:
    async def resume_twice() -> list[bool]:
        async with serving() as registry:
            await registry.create(_ORDER)
            await registry.clock.advance(60)
            resuming = [registry.resume(_space(registry), ResumeOrder()) for _ in range(2)]
            results = await asyncio.gather(*resuming, return_exceptions=True)
            return sorted(isinstance(result, SpaceNotFound) for result in results)

    assert asyncio.run(resume_twice()) == [False, True]


@SLOW
def test_a_reset_in_the_middle_of_a_resume_leaves_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    async def reset_meanwhile() -> list[str]:
        async with serving() as registry:
            await registry.create(_ORDER)
            await registry.clock.advance(60)
            go_on, destroyed = Sandbox.go_on, []

            async def going_on(sandbox: Sandbox, frozen: Frozen) -> None:
                await go_on(sandbox, frozen)
                destroyed.extend(await registry.destroy_all())
                registry.ledger.clear()
                registry.webhooks.clear()

            monkeypatch.setattr(Sandbox, "go_on", going_on)
            with pytest.raises(GuestFailed, match="the Space cannot be resumed: the emulator was reset"):
                await registry.resume(_space(registry), ResumeOrder())
            assert registry.lives() == registry.webhooks.described() == []
            return destroyed

    assert len(asyncio.run(reset_meanwhile())) == 1
