"""Sandboxes end when their time is over: by their lifetime, by idleness, by what the tier allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from podflare import Client, NotFoundError, Sandbox
from podflare_emulator import Emulator, SettingsError

from .. import matrix

MINUTE, HOUR = 60, 3600


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with Emulator(clock="manual") as emulator:
        yield emulator


Make = Callable[..., Sandbox]


@pytest.fixture
def make(emulator: Emulator) -> Iterator[Make]:
    with making() as make:
        yield make


@contextmanager
def making() -> Iterator[Make]:
    """`make(**order)`: a sandbox that is closed in the end, whether it has ended before or not."""
    made: list[Sandbox] = []
    with Client() as client:

        def make(**order: Any) -> Sandbox:
            made.append(Sandbox(client=client, **order))
            return made[-1]

        yield make
        for sandbox in made:
            sandbox.close()


def lives(sandbox: Sandbox) -> bool:
    """Asked without an exec, which would count as use."""
    try:
        sandbox.replay()
    except NotFoundError:
        return False
    return True


@matrix.SLOW
def test_a_sandbox_ends_with_its_lifetime_however_busy_it_was(emulator: Emulator, make: Make) -> None:
    sandbox = make(timeout_seconds=100)
    for _ in range(3):
        emulator.clock.advance(33)
        sandbox.run_code("x = 1")
    emulator.clock.advance(2)
    assert not lives(sandbox)
    assert (emulator.webhooks[-1].type, emulator.webhooks[-1].body["reason"]) == (
        "sandbox.destroyed",
        "timeout",
    )


def test_execs_keep_a_sandbox_from_being_idle_and_nothing_else_does(emulator: Emulator, make: Make) -> None:
    sandbox = make(idle_timeout_seconds=MINUTE)
    emulator.clock.advance(50)
    sandbox.run_code("x = 1")
    emulator.clock.advance(50)
    assert lives(sandbox)
    emulator.clock.advance(11)
    assert not lives(sandbox)
    assert emulator.webhooks[-1].body["reason"] == "idle_timeout"


def test_what_runs_is_not_idle(emulator: Emulator, make: Make) -> None:
    with make(idle_timeout_seconds=MINUTE) as sandbox, ThreadPoolExecutor(1) as threads:
        emulator.stub("train(", stdout=[10 * MINUTE, "done"])
        running = threads.submit(sandbox.run_code, "train()")
        while not emulator.execs():
            pass
        emulator.clock.advance(10 * MINUTE)
        assert running.result().stdout == "done"
        emulator.clock.advance(MINUTE - 1)
        assert lives(sandbox)
        emulator.clock.advance(1)
        assert not lives(sandbox)


def test_code_that_runs_when_the_time_is_over_ends_as_on_a_delete_and_who_waits_gets_404(
    emulator: Emulator, make: Make
) -> None:
    sandbox = make(timeout_seconds=MINUTE)
    with ThreadPoolExecutor(2) as threads:
        running = threads.submit(sandbox.run_code, "print('begun', flush=True); import time; time.sleep(600)")
        while not any(one.events for one in emulator.execs()):
            pass
        waiting = threads.submit(sandbox.run_code, "print('never')")
        while len(emulator.requests(call="exec")) < 2:
            pass
        emulator.clock.advance(MINUTE)
        assert (running.result().stdout, running.result().exit_code) == ("begun", 137)
        with pytest.raises(NotFoundError):
            waiting.result()


def test_a_forks_child_has_its_parents_limits_from_its_own_birth_on(emulator: Emulator, make: Make) -> None:
    parent = make(timeout_seconds=100)
    emulator.clock.advance(60)
    (child,) = parent.fork()
    emulator.clock.advance(60)
    assert (lives(parent), lives(child)) == (False, True)
    emulator.clock.advance(40)
    assert not lives(child)


def test_a_merge_leaves_the_parents_id_its_own_lifetime(emulator: Emulator, make: Make) -> None:
    parent = make(timeout_seconds=100)
    emulator.clock.advance(60)
    (child,) = parent.fork()
    parent.merge_into(child)
    emulator.clock.advance(39)
    assert lives(parent)
    emulator.clock.advance(1)
    assert not lives(parent)


def test_what_is_due_happens_in_its_order_and_at_its_time(emulator: Emulator, make: Make) -> None:
    made = [make(timeout_seconds=seconds) for seconds in (300, 100, 200)]
    begun = emulator.clock.now_ms
    emulator.clock.advance(HOUR)
    ended = [one for one in emulator.webhooks if one.type == "sandbox.destroyed"]
    assert [one.sandbox for one in ended] == [made[index].id for index in (1, 2, 0)]
    assert [one.body["ts"] - begun for one in ended] == [100_000, 200_000, 300_000]


def test_the_journal_tells_why_a_sandbox_is_gone(emulator: Emulator, make: Make) -> None:
    make(timeout_seconds=MINUTE)
    emulator.clock.advance(MINUTE)
    assert "expired (lifetime of 60 s), 0 execs" in str(emulator.tree())


@matrix.SLOW
def test_a_real_clock_ends_sandboxes_too() -> None:
    with Emulator() as emulator, emulator.redirect_clients(), making() as make:
        sandbox = make(timeout_seconds=1)
        while lives(sandbox):
            pass


@matrix.LONG
@pytest.mark.parametrize(
    ("tier", "lifetime", "idle"),
    [("free", HOUR // 2, 5 * MINUTE), ("pro", 8 * HOUR, HOUR // 2), ("scale", 24 * HOUR, 2 * HOUR)],
)
def test_a_tiers_caps_are_applied_in_silence(
    portable_emulator: Callable[..., Emulator], tier: str, lifetime: int, idle: int
) -> None:
    emulator = portable_emulator(clock="manual", tier=tier)
    with emulator.redirect_clients(), making() as make:
        asked, default = make(idle_timeout_seconds=10**9), make()
        emulator.clock.advance(idle - 1)
        assert lives(asked)
        assert lives(default)
        emulator.clock.advance(1)
        assert not lives(asked)
        assert not lives(default)
        busy = make(timeout_seconds=10**9, persistent=True)
        for _ in range(lifetime // (idle - 1)):
            emulator.clock.advance(idle - 1)
            busy.run_code("pass")
        assert lives(busy)
        emulator.clock.advance(idle - 1)
        assert not lives(busy)
        assert emulator.webhooks[-1].type == ("sandbox.destroyed" if tier == "free" else "sandbox.frozen")


def test_a_tier_that_there_is_not_is_refused() -> None:
    with pytest.raises(SettingsError, match="tier: expected free, pro or scale, got 'gold'"):
        Emulator(tier="gold")  # type: ignore[arg-type]


@matrix.SLOW
def test_what_was_kept_at_a_reset_lives_however_late_it_gets(emulator: Emulator, make: Make) -> None:
    kept = make(timeout_seconds=MINUTE)
    emulator.reset(keep=[kept.id])
    emulator.clock.advance(24 * HOUR)
    assert lives(kept)
