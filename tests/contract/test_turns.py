"""One exec at a time per sandbox, in order of arrival; sandboxes do not wait for each other."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from podflare import Client, Sandbox

from .printed import printed
from .wire import Wire, texts

ENDLESS = "print('running')\nwhile True: pass"


def test_execs_of_one_sandbox_run_in_order_of_arrival(wire: Wire) -> None:
    sandbox_id = wire.create()
    wire.events(sandbox_id, "order = []")
    first = wire.begin(sandbox_id, ENDLESS)
    first.next_event()
    waiting = []
    for number in range(5):
        waiting.append(wire.begin(sandbox_id, f"order.append({number})"))
        wire.settle()
    first.go_away()
    for running in waiting:
        running.rest()
    assert texts(wire.events(sandbox_id, "print(order)")) == ["[0, 1, 2, 3, 4]"]


def test_an_exec_does_not_start_before_the_one_before_has_ended(sandbox: Sandbox) -> None:
    # Two at once would both read the same count.
    printed(sandbox, "count = 0")
    code = "import time\nseen = count\ntime.sleep(0.01)\ncount = seen + 1"
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: printed(sandbox, code), range(20)))
    assert printed(sandbox, "print(count)") == "20"


def test_python_and_bash_take_turns_too(sandbox: Sandbox) -> None:
    printed(sandbox, "echo 0 > /root/count", "bash")
    python = "import time\nwith open('/root/count') as f: n = int(f.read())\ntime.sleep(0.01)\n" + (
        "with open('/root/count', 'w') as f: f.write(str(n + 1))"
    )
    bash = "n=$(cat /root/count); sleep 0.01; echo $((n + 1)) > /root/count"
    with ThreadPoolExecutor(8) as threads:
        calls = [(python, "python"), (bash, "bash")] * 5
        list(threads.map(lambda call: sandbox.run_code(*call), calls))
    assert printed(sandbox, "cat /root/count", "bash") == "10"


def test_different_sandboxes_run_in_parallel(wire: Wire) -> None:
    sandboxes = [wire.create() for _ in range(3)]
    running = [wire.begin(sandbox_id, ENDLESS) for sandbox_id in sandboxes]
    assert [exec_.next_event()["data"] for exec_ in running] == ["running"] * 3


def test_fork_siblings_run_in_parallel(wire: Wire) -> None:
    parent = wire.create()
    running = [wire.begin(sandbox_id, ENDLESS) for sandbox_id in (parent, *wire.fork(parent, 2))]
    assert [exec_.next_event()["data"] for exec_ in running] == ["running"] * 3


def test_everybody_else_is_answered_while_code_runs(wire: Wire) -> None:
    busy, other = wire.create(), wire.create()
    wire.begin(busy, ENDLESS).next_event()
    assert wire.http.get("/v1/healthz").text == "ok"
    assert texts(wire.events(wire.create(), "print(1)")) == ["1"]
    [child] = wire.fork(other)
    assert wire.merge(other, child).status_code == 204
    assert wire.replay(busy).status_code == 200
    assert wire.delete(other).status_code == 204


def test_parallel_sandboxes_through_the_sdk(client: Client) -> None:
    with Sandbox(client=client) as parent:
        children = parent.fork(4)
        with ThreadPoolExecutor(4) as threads:
            results = threads.map(
                lambda pair: printed(pair[1], f"print({pair[0]} ** 2)"), enumerate(children)
            )
            assert list(results) == ["0", "1", "4", "9"]
        for child in children:
            child.close()


@pytest.mark.usefixtures("ours")
def test_a_fork_waits_for_the_exec_before_it(wire: Wire) -> None:
    parent = wire.create()
    running = wire.begin(parent, "print('running', flush=True)\nimport time; time.sleep(0.2); value = 1")
    running.next_event()
    [child] = wire.fork(parent)
    assert texts(wire.events(child, "print(value)")) == ["1"]
