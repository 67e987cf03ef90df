"""`DELETE /v1/sandboxes/{id}`."""

import pytest

from podflare import Client, NotFoundError, Sandbox

from .wire import NEVER_WAS, Wire, texts


def test_a_delete_is_204_without_a_body(wire: Wire) -> None:
    answer = wire.delete(wire.create())
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_second_delete_is_204_again(wire: Wire) -> None:
    sandbox_id = wire.create()
    wire.delete(sandbox_id)
    assert wire.delete(sandbox_id).status_code == 204


def test_a_delete_of_an_id_that_never_was_is_404(wire: Wire) -> None:
    assert wire.delete(NEVER_WAS).status_code == 404


def test_a_deleted_id_is_404_everywhere(wire: Wire) -> None:
    gone, alive = wire.create(), wire.create()
    wire.delete(gone)
    answers = [
        wire.exec(gone, "print(1)"),
        wire.exec(gone, "echo 1", "bash"),
        wire.post(f"/v1/sandboxes/{gone}/fork", {"n": 1}),
        wire.merge(gone, alive),
        wire.merge(alive, gone),
        wire.replay(gone),
    ]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert {answer.text for answer in answers} == {'{"error":"sandbox not found"}'}


def test_children_outlive_their_parent(wire: Wire) -> None:
    parent = wire.create()
    wire.events(parent, "value = 1")
    [child] = wire.fork(parent)
    wire.delete(parent)
    assert texts(wire.events(child, "print(value)")) == ["1"]


def test_a_parent_outlives_its_children(wire: Wire) -> None:
    parent = wire.create()
    [child] = wire.fork(parent)
    wire.delete(child)
    assert texts(wire.events(parent, "print(1)")) == ["1"]


@pytest.mark.usefixtures("ours")
def test_a_delete_ends_the_exec_that_runs(wire: Wire) -> None:
    sandbox_id = wire.create()
    running = wire.begin(sandbox_id, "print('running')\nwhile True: pass")
    running.next_event()
    assert wire.delete(sandbox_id).status_code == 204
    last = running.rest()[-1]
    assert (last["type"], last["data"]) == ("exit", 137)


def test_the_sdks_context_manager_deletes(client: Client, wire: Wire) -> None:
    with Sandbox(client=client) as sandbox:
        pass
    assert wire.exec(sandbox.id, "").status_code == 404


def test_close_of_a_sandbox_that_the_server_has_lost_is_no_error(client: Client, wire: Wire) -> None:
    sandbox = Sandbox(client=client)
    wire.delete(sandbox.id)
    with pytest.raises(NotFoundError, match="sandbox not found"):
        sandbox.run_code("print(1)")
    sandbox.close()
