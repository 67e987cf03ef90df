"""`POST /v1/sandboxes/{parent}/merge_into/{winner}`."""

import pytest

from podflare import Sandbox, SandboxClosedError

from .printed import printed
from .wire import NEVER_WAS, Wire, texts


def test_a_merge_is_204_without_a_body(wire: Wire) -> None:
    parent = wire.create()
    [winner] = wire.fork(parent)
    answer = wire.merge(parent, winner)
    assert (answer.status_code, answer.content) == (204, b"")


def test_the_parents_id_answers_as_the_winner(wire: Wire) -> None:
    parent = wire.create()
    wire.events(parent, "who = 'parent'; open('/root/parent', 'w').close()")
    [winner] = wire.fork(parent)
    wire.events(winner, "who = 'winner'; open('/root/winner', 'w').close()")
    wire.events(parent, "too_late = 1; open('/root/late', 'w').close()")
    wire.merge(parent, winner)
    code = "import os; print(who, sorted(os.listdir('/root')), 'too_late' in globals())"
    assert texts(wire.events(parent, code)) == ["winner ['parent', 'winner'] False"]


def test_the_winners_id_is_gone(wire: Wire) -> None:
    parent = wire.create()
    [winner] = wire.fork(parent)
    wire.merge(parent, winner)
    answers = [
        wire.exec(winner, "print(1)"),
        wire.post(f"/v1/sandboxes/{winner}/fork", {"n": 1}),
        wire.replay(winner),
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 404]


def test_a_delete_of_the_winners_id_does_nothing(wire: Wire) -> None:
    parent = wire.create()
    [winner] = wire.fork(parent)
    wire.merge(parent, winner)
    assert wire.delete(winner).status_code == 204
    assert texts(wire.events(parent, "print('alive')")) == ["alive"]


def test_merging_one_winner_twice_is_404(wire: Wire) -> None:
    parent = wire.create()
    [winner] = wire.fork(parent)
    wire.merge(parent, winner)
    assert wire.merge(parent, winner).status_code == 404


def test_merging_an_id_into_itself_is_400(wire: Wire) -> None:
    parent = wire.create()
    assert wire.merge(parent, parent).status_code == 400
    assert texts(wire.events(parent, "print('alive')")) == ["alive"]


def test_merging_with_an_id_that_never_was_is_404(wire: Wire) -> None:
    alive = wire.create()
    assert wire.merge(alive, NEVER_WAS).status_code == 404
    assert wire.merge(NEVER_WAS, alive).status_code == 404
    assert texts(wire.events(alive, "print('alive')")) == ["alive"]


def test_siblings_are_untouched(wire: Wire) -> None:
    parent = wire.create()
    wire.events(parent, "who = 'parent'")
    winner, sibling = wire.fork(parent, 2)
    wire.events(winner, "who = 'winner'")
    wire.merge(parent, winner)
    assert texts(wire.events(sibling, "print(who)")) == ["parent"]


def test_a_merged_parent_forks_and_merges_again(wire: Wire) -> None:
    parent = wire.create()
    wire.events(parent, "path = []")
    for step in range(3):
        loser, winner = wire.fork(parent, 2)
        wire.events(loser, f"path.append('lost {step}')")
        wire.events(winner, f"path.append({step})")
        assert wire.merge(parent, winner).status_code == 204
    assert texts(wire.events(parent, "print(path)")) == ["[0, 1, 2]"]


def test_a_grandchild_may_win(wire: Wire) -> None:
    parent = wire.create()
    [child] = wire.fork(parent)
    [grandchild] = wire.fork(child)
    wire.events(grandchild, "who = 'grandchild'")
    assert wire.merge(parent, grandchild).status_code == 204
    assert texts(wire.events(parent, "print(who)")) == ["grandchild"]
    assert wire.exec(child, "").status_code == 200


@pytest.mark.usefixtures("ours")
def test_a_merge_waits_for_what_the_winner_still_runs(wire: Wire) -> None:
    parent = wire.create()
    [winner] = wire.fork(parent)
    running = wire.begin(winner, "print('running')\nimport time; time.sleep(0.2); value = 'finished'")
    running.next_event()
    assert wire.merge(parent, winner).status_code == 204
    assert running.rest()[-1]["data"] == 0
    assert texts(wire.events(parent, "print(value)")) == ["finished"]


def test_through_the_sdk_the_winners_close_is_a_no_op(sandbox: Sandbox) -> None:
    printed(sandbox, "who = 'parent'")
    [winner] = sandbox.fork()
    printed(winner, "who = 'winner'")
    sandbox.merge_into(winner)
    winner.close()
    assert printed(sandbox, "print(who)") == "winner"


def test_through_the_sdk_a_merged_winner_says_so(sandbox: Sandbox) -> None:
    [winner] = sandbox.fork()
    sandbox.merge_into(winner)
    with pytest.raises(SandboxClosedError, match=sandbox.id):
        winner.run_code("print(1)")
