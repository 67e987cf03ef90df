"""A child that waits for the next fork: what it is like, what ends it, and that nobody sees it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from podflare_emulator.control.inspection_calls import InspectionControl
from podflare_emulator.domain.ahead import children
from podflare_emulator.domain.forking import Copies
from podflare_emulator.domain.registry import SandboxOrder, SandboxRegistry
from podflare_emulator.domain.sandbox import Sandbox
from podflare_emulator.domain.terminals import TerminalOrder
from podflare_emulator.domain.testing.death import LastWords
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guests.guest import Guest
from podflare_emulator.vocabulary.sandbox_errors import GuestFailed, SandboxNotFound

from ..matrix import SLOW
from .test_order_of_arrival import said, serving

_PREPARE = "import os, random, signal, subprocess, threading, time; random.seed(7); rows = []"
_ORDINARY = SandboxOrder()
_PERSISTENT = SandboxOrder(persistent=True, timeout_seconds=60)


class Family:
    """A prepared sandbox of which forks are expected, and how many the engine has made."""

    def __init__(self, registry: SandboxRegistry, parent: Sandbox) -> None:
        self.registry, self.parent = registry, parent
        self.made = 0
        self.fails = False
        self.waited: list[Guest] = []
        engine = registry._forks._engine
        fork = engine.fork

        async def counting(machine: Any, n: int) -> Copies:
            if self.fails:
                raise HostingError("no room")
            self.made += n
            return await fork(machine, n)

        engine.fork = counting  # type: ignore[method-assign]

    @property
    def all_waiting(self) -> list[Guest]:
        assert self.parent.machine
        brood = self.registry._forks._broods.get(self.parent.machine)
        return [*brood._ready] if brood else []

    @property
    def waiting(self) -> Guest | None:
        return next(iter(self.all_waiting), None)

    async def fork(self, n: int = 1) -> list[Sandbox]:
        return (await self.parent.fork(n)).children

    async def has_one(self) -> Guest:
        (child,) = await self.has(1)
        return child

    async def has(self, n: int) -> list[Guest]:
        for _ in range(2000):
            if len(ready := self.all_waiting) == n:
                self.waited += ready
                return ready
            await asyncio.sleep(0.005)
        raise AssertionError(f"{len(self.all_waiting)} children were made ahead")

    async def is_at_rest(self) -> None:
        """Whatever was begun has come to its end."""
        assert self.parent.machine
        brood = self.registry._forks._broods[self.parent.machine]
        if brood._making:
            await asyncio.wait([brood._making])


@asynccontextmanager
async def family(order: SandboxOrder = _ORDINARY, *, expect: bool = True) -> AsyncIterator[Family]:
    async with serving() as registry:
        parent = await registry.create(order)
        await said(parent, _PREPARE)
        if expect:
            registry.expect_forks(parent.id)
        yield Family(registry, parent)


def _guest(sandbox: Sandbox) -> Guest:
    assert sandbox.machine
    return sandbox.machine.guest


@SLOW
def test_the_next_fork_gets_the_child_that_waits() -> None:
    async def fork_in_a_row() -> None:
        async with family() as one:
            await one.fork()
            assert one.made == 1
            for number in range(2, 6):
                waiting = await one.has_one()
                assert one.made == number
                (child,) = await one.fork()
                assert _guest(child) is waiting
                assert await said(child, f"rows.append({number}); print(rows)") == [f"[{number}]", 0]
                await one.registry.destroy(child.id)

    asyncio.run(fork_in_a_row())


@SLOW
def test_nothing_is_made_before_the_first_fork_nor_for_others() -> None:
    async def look() -> None:
        async with family() as one:
            other = await one.registry.create(SandboxOrder())
            await other.fork(1)
            await one.registry._forks.settle()
            assert one.waiting is None
            assert one.made == 1
            (child,) = await one.fork()
            await one.has_one()
            await child.fork(1)
            assert one.made == 4

    asyncio.run(look())


@pytest.fixture(autouse=True)
def _every_fork_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is; and several children are kept."""
    monkeypatch.setattr(children, "_QUICK", 600)
    monkeypatch.setattr(children, "_KEPT", 600)


@SLOW
@pytest.mark.parametrize("n", [1, 3])
def test_whoever_forks_again_and_again_has_as_many_ready(n: int) -> None:
    async def fork_in_a_row() -> None:
        async with family(expect=False) as one:
            await one.fork(n)
            await one.is_at_rest()
            assert one.all_waiting == []
            await one.fork(n)
            for _ in range(3):
                waiting = await one.has(n)
                assert [_guest(child) for child in await one.fork(n)] == waiting
            assert one.made in (5 * n, 6 * n)
            await said(one.parent, "rows.append(1)")
            await one.fork(n)
            await one.is_at_rest()
            assert one.all_waiting == []
            assert [await said(child, "print(rows)") for child in await one.fork(n)] == [["[1]", 0]] * n

    asyncio.run(fork_in_a_row())


@SLOW
def test_none_is_ready_where_forks_are_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_QUICK", 0)
    monkeypatch.setattr(children, "_QUICK_EACH", 0)

    async def fork_in_a_row() -> None:
        async with family(expect=False) as one:
            for _ in range(3):
                await one.fork()
            await one.is_at_rest()
            assert (one.all_waiting, one.made) == ([], 3)

    asyncio.run(fork_in_a_row())


@SLOW
def test_a_fork_of_many_may_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_QUICK", 0)
    monkeypatch.setattr(children, "_QUICK_EACH", 600)

    async def fork_in_a_row() -> None:
        async with family(expect=False) as one:
            await one.fork(2)
            await one.fork(2)
            waiting = await one.has(2)
            assert [_guest(child) for child in await one.fork(2)] == waiting

    asyncio.run(fork_in_a_row())


@SLOW
def test_of_several_one_is_kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_KEPT", 0.01)

    async def wait() -> None:
        async with family(expect=False) as one:
            await one.fork(3)
            await one.fork(3)
            child = await one.has_one()
            await one.registry._forks.settle()
            assert (one.made, child.lives) == (9, True)
            assert [_guest(forked) for forked in await one.fork()] == [child]

    asyncio.run(wait())


@SLOW
def test_what_is_ready_is_not_enough() -> None:
    async def fork_more() -> None:
        async with family(expect=False) as one:
            await one.fork()
            await one.fork()
            await one.has_one()
            assert len(await one.fork(3)) == 3
            first, second, third = await one.has(3)
            os.kill(second.pid, signal.SIGKILL)
            await asyncio.wait_for(second.gone.wait(), 20)
            assert [_guest(child) for child in await one.fork(2)] == [first, third]
            assert len(await one.fork(3)) == 3

    asyncio.run(fork_more())


@SLOW
def test_a_fork_of_several_leaves_the_one_that_waits() -> None:
    async def fork_several() -> None:
        async with family() as one:
            await one.fork()
            waiting = await one.has_one()
            assert len(await one.fork(3)) == 3
            assert one.waiting is waiting
            (child,) = await one.fork()
            assert _guest(child) is waiting

    asyncio.run(fork_several())


async def _exec(one: Family) -> None:
    await said(one.parent, "rows.append('new')")


async def _stubbed_functions_exec(one: Family) -> None:
    await one.parent._run_real("rows.append('new')", "python")


async def _write(one: Family) -> None:
    await InspectionControl(one.registry).write_file(one.parent.id, "/root/new", "bmV3")


async def _terminal(one: Family) -> None:
    await one.parent.start_terminal(TerminalOrder("sleep 600", None, 80, 24, [], None))


async def _merge_into(one: Family) -> None:
    (winner,) = await one.fork()
    await said(winner, "rows.append('new')")
    await one.has_one()
    await one.registry.merge(one.parent.id, winner.id)


async def _freeze(one: Family) -> None:
    await one.registry.clock.advance(60)


async def _destroy(one: Family) -> None:
    await one.registry.destroy(one.parent.id)


async def _reset(one: Family) -> None:
    await one.registry.destroy_all()


async def _death(one: Family) -> None:
    await asyncio.gather(one.parent.exec("1", "python", LastWords(0, lambda: None)), return_exceptions=True)


@SLOW
@pytest.mark.parametrize(
    ("happens", "seen"),
    [
        (_exec, "['new'] False"),
        (_stubbed_functions_exec, "['new'] False"),
        (_write, "[] True"),
        (_terminal, "[] False"),
        (_merge_into, "['new'] False"),
    ],
)
def test_whatever_reaches_the_parent_ends_the_child_that_waits(
    happens: Callable[[Family], Awaitable[None]], seen: str
) -> None:
    async def let_it_happen() -> None:
        async with family() as one:
            await one.fork()
            await one.has_one()
            await happens(one)
            await asyncio.wait_for(one.waited[-1].gone.wait(), 20)
            (child,) = await one.fork()
            assert _guest(child) not in one.waited
            assert await said(child, "print(rows, os.path.exists('/root/new'))") == [seen, 0]

    asyncio.run(let_it_happen())


@SLOW
@pytest.mark.parametrize("happens", [_freeze, _destroy, _reset, _death])
def test_it_ends_with_its_parent(happens: Callable[[Family], Awaitable[None]]) -> None:
    async def end() -> None:
        async with family(_PERSISTENT) as one:
            await one.fork()
            waiting = await one.has_one()
            await happens(one)
            await asyncio.wait_for(waiting.gone.wait(), 20)
            with pytest.raises((SandboxNotFound, GuestFailed)):
                await one.fork()

    asyncio.run(end())


@SLOW
def test_it_goes_with_its_parent_into_another_id() -> None:
    async def merge_away() -> None:
        async with family() as one:
            await said(one.parent, "rows.append(1)")
            await one.fork()
            waiting = await one.has_one()
            other = await one.registry.create(SandboxOrder())
            await one.registry.merge(other.id, one.parent.id)
            (child,) = (await other.fork(1)).children
            assert _guest(child) is waiting
            assert await said(child, "print(rows)") == ["[1]", 0]
            assert one.registry.ledger.forks()[-1]["parent"] == other.id

    asyncio.run(merge_away())


@SLOW
def test_a_parent_that_ends_while_a_child_is_made_leaves_none() -> None:
    async def destroy_meanwhile() -> None:
        async with family() as one:
            for step in range(6):
                parent = one.parent
                (child,) = await one.fork()
                for _ in range(step * 20):
                    await asyncio.sleep(0.0001)
                await one.registry.destroy(parent.id)
                with pytest.raises(SandboxNotFound):
                    await parent.fork(1)
                assert not one.registry._forks._ends
                assert [*one.registry._living] == [child.id]
                one.parent = child
                one.registry.expect_forks(child.id)

    asyncio.run(destroy_meanwhile())


@SLOW
@pytest.mark.parametrize(
    ("code", "left_behind"),
    [
        ("threading.Thread(target=time.sleep, args=[600], daemon=True).start()", (1, 0)),
        ("sleeper = subprocess.Popen(['sleep', '600'])", (0, 1)),
        ("signal.setitimer(signal.ITIMER_REAL, 600)", (0, 0)),
        ("os.register_at_fork(after_in_child=threading.Timer(600, print).start)", (0, 0)),
    ],
    ids=["thread", "process", "timer", "thread of a child"],
)
def test_a_parent_or_child_in_which_something_goes_on_has_none(
    code: str, left_behind: tuple[int, int]
) -> None:
    async def fork_twice() -> None:
        async with family() as one:
            await said(one.parent, code)
            for _ in range(2):
                forked = await one.parent.fork(1)
                assert (forked.threads_left_behind, forked.processes_left_behind) == left_behind
                await one.is_at_rest()
                assert one.waiting is None

    asyncio.run(fork_twice())


@SLOW
def test_one_that_was_killed_is_replaced_by_one_made_now() -> None:
    async def kill() -> None:
        async with family() as one:
            await one.fork()
            waiting = await one.has_one()
            os.kill(waiting.pid, signal.SIGKILL)
            await asyncio.wait_for(waiting.gone.wait(), 20)
            (child,) = await one.fork()
            assert _guest(child) is not waiting
            assert await said(child, "print(rows)") == ["[]", 0]
            assert await one.has_one() is not waiting

    asyncio.run(kill())


@SLOW
def test_one_that_cannot_be_made_is_nobodys_concern() -> None:
    async def fail() -> None:
        async with family() as one:
            await one.fork()
            one.fails = True
            await one.is_at_rest()
            assert one.waiting is None
            one.fails = False
            (child,) = await one.fork()
            assert await said(child, "print(rows)") == ["[]", 0]
            await one.has_one()

    asyncio.run(fail())


@SLOW
def test_while_the_parent_is_busy_none_is_made_and_nobody_waits_for_it() -> None:
    async def be_busy() -> None:
        async with family() as one:
            await one.fork()
            running = await one.parent.exec("time.sleep(600)", "python")
            await asyncio.sleep(0.05)
            assert one.waiting is None
            await running.abandon()

    asyncio.run(be_busy())


@SLOW
def test_it_is_on_no_list_and_draws_no_id() -> None:
    def record(registry: SandboxRegistry) -> list[Any]:
        lives = [(life["sandbox"], life["parent"], life["state"]) for life in registry.lives()]
        forks = [(fork["parent"], fork["children"]) for fork in registry.ledger.forks()]
        events = [(event["body"]["type"], event["body"]["id"]) for event in registry.webhooks.described()]
        return [lives, forks, events, registry.ledger.execs(), [*registry._living]]

    async def live(expect: bool) -> list[Any]:
        async with serving(seed=3) as registry:
            parent = await registry.create(SandboxOrder())
            if expect:
                registry.expect_forks(parent.id)
            for _ in range(3):
                (child,) = (await parent.fork(1)).children
                if expect:
                    await Family(registry, parent).has_one()
                await registry.destroy(child.id)
            return record(registry)

    assert asyncio.run(live(True)) == asyncio.run(live(False))


@SLOW
def test_two_hundred_forks_leave_nothing() -> None:
    async def fork_in_a_row() -> None:
        async with family() as one:
            await one.fork()
            await one.has_one()
            before = len(os.listdir("/dev/fd"))
            for number in range(200):
                (child,) = await one.fork()
                if number % 2:
                    await one.has_one()
                if number % 5 == 0:
                    await said(one.parent, "rows.append(1)")
                await one.registry.destroy(child.id)
            await one.is_at_rest()
            assert len(os.listdir("/dev/fd")) < before + 20  # spare directories
            other = await one.registry.create(SandboxOrder())
            one.registry.expect_forks(other.id)
            await one.registry.destroy_all()
            gc.collect()
            assert len(one.registry._forks._broods) == 1  # of the guest that `serving` holds

    asyncio.run(fork_in_a_row())
