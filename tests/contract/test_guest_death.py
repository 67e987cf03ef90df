"""A sandbox whose interpreter dies tells how, and takes nobody with it."""

import pytest

from podflare import Client, Sandbox, ServerError

from .printed import printed
from .wire import Wire, error_of, texts

pytestmark = pytest.mark.usefixtures("ours")

DEATHS = [
    ("import os; os._exit(3)", 3, "exit code 3"),
    ("import ctypes; ctypes.string_at(0)", 139, "SIGSEGV"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137, "SIGKILL"),
    ("import os; os.abort()", 134, "SIGABRT"),
]
KILLED = "import os; os.kill(os.getpid(), 9)"


@pytest.mark.parametrize(("code", "exit_code", "cause"), DEATHS)
def test_the_running_exec_ends_with_the_cause(wire: Wire, code: str, exit_code: int, cause: str) -> None:
    events = wire.events(wire.create(), f"print('last words')\n{code}\nprint('never')")
    assert texts(events) == ["last words"]
    assert events[-1]["type"] == "exit"
    assert events[-1]["data"] == exit_code
    assert cause in texts(events, "stderr")[-1]


def test_the_sdk_returns_the_result_of_a_death(sandbox: Sandbox) -> None:
    result = sandbox.run_code(f"print('last words')\n{KILLED}")
    assert (result.stdout, result.exit_code) == ("last words", 137)
    assert "SIGKILL" in result.stderr


def test_bash_can_kill_the_interpreter(wire: Wire) -> None:
    events = wire.events(wire.create(), "kill -9 $PPID", "bash")
    assert events[-1]["data"] == 137


def test_later_execs_are_500_and_say_why(wire: Wire) -> None:
    sandbox_id = wire.create()
    wire.events(sandbox_id, KILLED)
    for language in ("python", "bash"):
        answer = wire.post(f"/v1/sandboxes/{sandbox_id}/exec", {"code": "true", "language": language})
        assert answer.status_code == 500
        assert "SIGKILL" in error_of(answer)


def test_execs_that_wait_are_500_too(wire: Wire) -> None:
    sandbox_id = wire.create()
    first = wire.begin(sandbox_id, f"print('running')\nimport time; time.sleep(0.1)\n{KILLED}")
    first.next_event()
    waiting = wire.begin(sandbox_id, "print('never')")
    assert waiting.response.status == 500


def test_the_sdk_raises_a_server_error_later(sandbox: Sandbox) -> None:
    sandbox.run_code(KILLED)
    with pytest.raises(ServerError, match="SIGKILL"):
        sandbox.run_code("print(1)")


def test_a_fork_is_500_and_says_why(wire: Wire) -> None:
    sandbox_id = wire.create()
    wire.events(sandbox_id, KILLED)
    answer = wire.post(f"/v1/sandboxes/{sandbox_id}/fork", {"n": 2})
    assert answer.status_code == 500
    assert "SIGKILL" in error_of(answer)


def test_a_dead_winner_is_500_and_the_parent_stays(wire: Wire) -> None:
    parent = wire.create()
    [winner] = wire.fork(parent)
    wire.events(winner, KILLED)
    answer = wire.merge(parent, winner)
    assert answer.status_code == 500
    assert "SIGKILL" in error_of(answer)
    assert texts(wire.events(parent, "print('parent')")) == ["parent"]


def test_a_winner_replaces_a_dead_parent(wire: Wire) -> None:
    parent = wire.create()
    [winner] = wire.fork(parent)
    wire.events(parent, KILLED)
    assert wire.merge(parent, winner).status_code == 204
    assert texts(wire.events(parent, "print('alive')")) == ["alive"]


def test_the_replay_still_tells_what_happened(wire: Wire) -> None:
    sandbox_id = wire.create()
    wire.events(sandbox_id, f"print('last words')\n{KILLED}")
    answer = wire.replay(sandbox_id)
    assert answer.status_code == 200
    assert '"last words"' in answer.text


def test_a_delete_is_204(wire: Wire) -> None:
    sandbox_id = wire.create()
    wire.events(sandbox_id, KILLED)
    assert wire.delete(sandbox_id).status_code == 204
    assert wire.delete(sandbox_id).status_code == 204
    assert wire.exec(sandbox_id, "").status_code == 404


def test_other_sandboxes_go_on(client: Client) -> None:
    with Sandbox(client=client) as dies, Sandbox(client=client) as lives:
        printed(lives, "kept = 1")
        dies.run_code(KILLED)
        assert printed(lives, "print(kept)") == "1"
        with Sandbox(client=client) as new:
            assert printed(new, "print('new')") == "new"


def test_a_sandbox_that_dies_while_nothing_runs_says_so(wire: Wire) -> None:
    sandbox_id = wire.create()
    code = "import os, subprocess\nsubprocess.Popen(f'sleep 0.1; kill -9 {os.getpid()}', shell=True)"
    wire.events(sandbox_id, code)
    while (answer := wire.exec(sandbox_id, "")).status_code == 200:
        pass
    assert answer.status_code == 500
    assert "SIGKILL" in error_of(answer)


def test_killing_every_process_it_can_see_harms_nobody_else(client: Client) -> None:
    with Sandbox(client=client) as dies, Sandbox(client=client) as lives:
        printed(lives, "kept = 1")
        dies.run_code("kill -9 $PPID $$", "bash")
        assert printed(lives, "print(kept)") == "1"
