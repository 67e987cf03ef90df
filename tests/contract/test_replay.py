"""`GET /v1/sandboxes/{id}/replay`."""

import pytest

from podflare import Sandbox

from .wire import NDJSON, Wire, events_of, texts


def test_a_new_sandbox_has_nothing_to_replay(wire: Wire) -> None:
    answer = wire.replay(wire.create())
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].partition(";")[0] == NDJSON


def test_a_replay_holds_the_events_of_all_execs_as_they_were_sent(wire: Wire) -> None:
    sandbox_id = wire.create()
    sent = wire.events(sandbox_id, "print('one')")
    sent += wire.events(sandbox_id, "echo two; echo three >&2; exit 4", "bash")
    assert events_of(wire.replay(sandbox_id).content) == sent


def test_a_replay_holds_the_last_1000_events(wire: Wire) -> None:
    sandbox_id = wire.create()
    sent = wire.events(sandbox_id, "for number in range(1500): print(number)")
    assert events_of(wire.replay(sandbox_id).content) == sent[-1000:]


def test_a_replay_leaves_in_ascii(wire: Wire) -> None:
    sandbox_id = wire.create()
    wire.events(sandbox_id, r"print('a\u2028b 🐍')")
    answer = wire.replay(sandbox_id)
    assert answer.content.isascii()
    assert texts(events_of(answer.content)) == ["a\u2028b 🐍"]


def test_the_sdk_replays(sandbox: Sandbox) -> None:
    sandbox.run_code("print('one')")
    assert [(event.type, event.data) for event in sandbox.replay()] == [("stdout", "one"), ("exit", 0)]


@pytest.mark.usefixtures("ours")
def test_a_replay_holds_the_events_of_an_exec_that_runs(wire: Wire) -> None:
    sandbox_id = wire.create()
    wire.begin(sandbox_id, "print('running')\nwhile True: pass").next_event()
    assert texts(events_of(wire.replay(sandbox_id).content)) == ["running"]


@pytest.mark.usefixtures("ours")
def test_a_forks_replay_starts_empty(wire: Wire) -> None:
    parent = wire.create()
    wire.events(parent, "print('parent')")
    [child] = wire.fork(parent)
    assert wire.replay(child).content == b""
    wire.events(child, "print('child')")
    assert texts(events_of(wire.replay(child).content)) == ["child"]
    assert texts(events_of(wire.replay(parent).content)) == ["parent"]


@pytest.mark.usefixtures("ours")
def test_after_a_merge_the_parents_replay_is_the_winners(wire: Wire) -> None:
    parent = wire.create()
    wire.events(parent, "print('parent')")
    [winner] = wire.fork(parent)
    wire.events(winner, "print('winner')")
    wire.merge(parent, winner)
    assert texts(events_of(wire.replay(parent).content)) == ["winner"]
