"""Forks that cannot be made, that must wait, or whose sandbox goes away; and forks of forks of forks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from podflare import ProcessesLeftBehindWarning, Sandbox
from podflare_emulator import Emulator

from ..matrix import SLOW
from .printed import printed
from .server import Server
from .wire import Wire, error_of, texts

Fork = Callable[..., list[Sandbox]]

LIMIT = "import resource as r; r.setrlimit(r.{0}, ({1}, r.getrlimit(r.{0})[1]))"
RELAX = "r.setrlimit(r.{0}, (r.getrlimit(r.{0})[1],) * 2)"


@pytest.mark.usefixtures("ours")
def test_a_tree_that_cannot_be_copied_makes_no_child_and_says_why(wire: Wire) -> None:
    parent = wire.create()
    wire.events(parent, "_ = open('/root/large', 'wb').write(b'x' * 3_000_000)")
    wire.events(parent, LIMIT.format("RLIMIT_FSIZE", 2_000_000))
    answer = wire.post(f"/v1/sandboxes/{parent}/fork", {"n": 3})
    assert answer.status_code == 500
    assert "root/large" in error_of(answer)
    assert "File too large" in error_of(answer)
    wire.events(parent, RELAX.format("RLIMIT_FSIZE"))
    [child] = wire.fork(parent)
    assert texts(wire.events(child, "import os; print(os.path.getsize('/root/large'))")) == ["3000000"]


@pytest.mark.usefixtures("ours")
def test_a_process_that_the_kernel_refuses_is_no_child_and_the_parent_goes_on(wire: Wire) -> None:
    parent = wire.create()
    wire.events(parent, LIMIT.format("RLIMIT_NPROC", 0))
    answer = wire.post(f"/v1/sandboxes/{parent}/fork", {"n": 2})
    if answer.status_code == 200:
        for child in answer.json()["children"]:
            wire.delete(child)
        pytest.skip("the kernel does not limit the processes of this user: it is root")
    assert answer.status_code == 500
    assert "Resource temporarily unavailable" in error_of(answer)
    assert texts(wire.events(parent, f"{RELAX.format('RLIMIT_NPROC')}; print('alive')")) == ["alive"]
    wire.fork(parent, 2)


@SLOW
def test_nothing_is_left_of_a_fork_that_failed(own_emulator: Callable[..., Emulator], backend: str) -> None:
    emulator = own_emulator(isolation=backend)
    with Sandbox(host=emulator.url) as parent:
        printed(parent, "_ = open('/root/large', 'wb').write(b'x' * 3_000_000)")
        printed(parent, LIMIT.format("RLIMIT_FSIZE", 2_000_000))
        with pytest.raises(Exception, match="File too large"):
            parent.fork(5)
        assert emulator.reset() == [parent.id]


@SLOW
def test_many_open_files_are_no_obstacle(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "files = [open(f'/root/{n}', 'w') for n in range(900)]")
    for child in fork(sandbox, 8)[::7]:
        printed(child, "for n, file in enumerate(files): _ = file.write(str(n)); file.close()")
        assert printed(child, "print(open('/root/899').read())") == "899"


def test_a_fork_that_waits_for_an_exec_is_404_when_the_sandbox_is_deleted(wire: Wire) -> None:
    parent = wire.create()
    running = wire.begin(parent, "print('running')\nwhile True: pass")
    running.next_event()
    with ThreadPoolExecutor() as threads:
        forking = threads.submit(wire.post, f"/v1/sandboxes/{parent}/fork", {"n": 2})
        wire.settle()
        assert wire.delete(parent).status_code == 204
        assert forking.result().status_code == 404


@pytest.mark.usefixtures("ours")
def test_a_fork_that_runs_code_again_ends_with_its_sandbox(server: Server, wire: Wire) -> None:
    if server.engine != "replay":
        pytest.skip("a live fork runs no code")
    parent = wire.create()
    wire.events(parent, "touch /root/there", "bash")
    wire.events(parent, "import os\nwhile not os.path.exists('/root/there'): pass")  # and there it is not
    with ThreadPoolExecutor() as threads:
        forking = threads.submit(wire.post, f"/v1/sandboxes/{parent}/fork", {"n": 2})
        wire.settle()
        assert wire.delete(parent).status_code == 204
        assert forking.result().status_code == 404


@SLOW
def test_forks_of_forks_to_a_depth_of_20(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "path = []; log = open('/root/log', 'w', buffering=1)")
    last = sandbox
    for depth in range(20):
        [last] = fork(last)
        printed(last, f"path.append({depth}); print({depth}, file=log)")
    expected = list(range(20))
    assert printed(last, "print(path)") == str(expected)
    assert printed(last, "print([int(line) for line in open('/root/log')])") == str(expected)


def test_a_child_whose_parent_is_gone_forks(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "x = 1; open('/root/f', 'w').write('f')")
    [child] = fork(sandbox)
    sandbox.close()
    [grandchild] = fork(child)
    child.close()
    assert printed(grandchild, "print(x, open('/root/f').read())") == "1 f"


def test_a_merged_parent_forks_with_what_it_was_given(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "x = 1; f = open('/root/f', 'w'); f.write('1'); f.flush()")
    [winner] = sandbox.fork()
    printed(winner, "x = 2; f.write('2'); f.flush()")
    sandbox.merge_into(winner)
    [child] = fork(sandbox)
    printed(child, "f.write('3'); f.flush()")
    assert printed(child, "print(x, open('/root/f').read())") == "2 123"
    assert printed(sandbox, "print(x, open('/root/f').read())") == "2 12"


def test_sandboxes_of_no_family_merge(wire: Wire) -> None:
    one, other = wire.create(), wire.create()
    wire.events(other, "x = 'other'")
    assert wire.merge(one, other).status_code == 204
    assert texts(wire.events(one, "print(x)")) == ["other"]
    [child] = wire.fork(one)
    assert texts(wire.events(child, "print(x)")) == ["other"]


def test_an_exec_that_waits_for_the_parents_id_runs_in_the_winner(wire: Wire) -> None:
    parent = wire.create()
    [winner] = wire.fork(parent)
    wire.events(winner, "who = 'winner'")
    wire.events(parent, "who = 'parent'")
    running = wire.begin(parent, "print('running', flush=True)\nimport time; time.sleep(0.3)")
    running.next_event()
    merging = wire.begin_merge(parent, winner)
    wire.settle()
    waiting = wire.begin(parent, "print(who)")
    assert merging.response.status == 204
    assert texts(waiting.rest()) == ["winner"]


@SLOW
def test_a_tree_that_changes_while_it_is_copied_breaks_no_fork(sandbox: Sandbox, fork: Fork) -> None:
    writer = """
        cd /root; touch started
        (i=0; while [ ! -e stop ]; do
            i=$((i + 1)); mkdir -p d$((i % 7))/e; echo whole-$i-whole > d$((i % 7))/e/f.new
            mv d$((i % 7))/e/f.new d$((i % 7))/e/f; rm -rf d$(((i + 3) % 7)); ln -sfn d$((i % 7)) link
        done) > /dev/null 2>&1 &
        """
    printed(sandbox, writer, "bash")
    for _ in range(5):
        with pytest.warns(ProcessesLeftBehindWarning):
            children = fork(sandbox, 2)
        for child in children:
            found = printed(child, "find /root -name f | xargs -r cat", "bash").split()
            assert all(line.startswith("whole-") and line.endswith("-whole") for line in found)
    printed(sandbox, "touch /root/stop", "bash")
