"""`POST /v1/sandboxes/{id}/fork`: what children start from, and that nothing is shared afterwards."""

import re
import warnings
from collections.abc import Callable

import pytest

from podflare import Client, Sandbox, ServerError, ThreadsLeftBehindWarning

from ..matrix import SLOW
from .printed import printed
from .wire import Wire, error_of, texts

Fork = Callable[..., list[Sandbox]]


def test_fork_answers_with_the_childrens_ids(wire: Wire) -> None:
    parent = wire.create()
    answer = wire.post(f"/v1/sandboxes/{parent}/fork", {"n": 3})
    assert answer.status_code == 200
    children = answer.json()["children"]
    assert len({parent, *children}) == 4
    assert all(re.fullmatch("sbx_[0-9a-f]{32}", child) for child in children)
    for child in children:
        wire.delete(child)


@pytest.mark.parametrize("body", [b"{}", b'{"unknown": 5}', b""])
def test_fork_makes_one_child_unless_the_request_says_otherwise(wire: Wire, body: bytes) -> None:
    answer = wire.post(f"/v1/sandboxes/{wire.create()}/fork", body)
    [child] = answer.json()["children"]
    wire.delete(child)


def test_the_sdk_forks_one_child_unless_told_otherwise(sandbox: Sandbox) -> None:
    [child] = sandbox.fork()
    child.close()


@pytest.mark.parametrize("n", [0, 33, -1, "3", None, 1.5, True, [1]])
def test_an_n_that_is_not_1_to_32_is_400_and_named(wire: Wire, n: object) -> None:
    answer = wire.post(f"/v1/sandboxes/{wire.create()}/fork", {"n": n})
    assert answer.status_code == 400
    assert re.search(r"\bn\b", error_of(answer))


@SLOW
def test_fork_makes_32_children_each_ready(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "value = 'inherited'")
    children = fork(sandbox, 32)
    assert [printed(child, "print(value)") for child in children] == ["inherited"] * 32


@pytest.mark.parametrize("custom", [{"ram_mib": 2048}, {"rootfs_gb": 8}])
def test_a_sandbox_of_custom_size_cannot_be_forked_and_says_why(wire: Wire, custom: dict[str, int]) -> None:
    answer = wire.post(f"/v1/sandboxes/{wire.create(**custom)}/fork", {"n": 1})
    assert answer.status_code == 500
    assert next(iter(custom)) in error_of(answer)


def test_children_start_with_the_parents_names(sandbox: Sandbox, fork: Fork) -> None:
    printed(
        sandbox, "import math\nx = {'a': [1]}\ndef area(r): return math.pi * r * r\nclass C: pass\nc = C()"
    )
    [child] = fork(sandbox)
    assert printed(child, "print(x, round(area(1), 2), type(c) is C)") == "{'a': [1]} 3.14 True"


def test_children_start_with_what_no_pickle_can_carry(sandbox: Sandbox, fork: Fork) -> None:
    printed(
        sandbox,
        """
        def counting():
            n = 0
            while True:
                yield (n := n + 1)
        numbers = counting(); next(numbers)
        add = (lambda base: lambda more: base + more)(10)
        import threading; lock = threading.Lock(); lock.acquire()
        """,
    )
    one, other = fork(sandbox, 2)
    assert printed(one, "print(next(numbers), add(1), lock.locked())") == "2 11 True"
    assert printed(one, "print(next(numbers))") == "3"
    assert printed(other, "print(next(numbers))") == "2"
    assert printed(sandbox, "print(next(numbers))") == "2"


def test_children_start_from_the_moment_of_the_fork(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "value = 'then'")
    [child] = fork(sandbox)
    printed(sandbox, "value = 'later'")
    assert printed(child, "print(value)") == "then"


def test_what_a_child_does_stays_in_the_child(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "values = [1]")
    one, other = fork(sandbox, 2)
    printed(one, "values.append(2); extra = 1; import os; os.chdir('/tmp'); os.environ['X'] = '1'")
    check = "import os; print(values, 'extra' in globals(), os.getcwd(), os.environ.get('X'))"
    assert printed(other, check) == "[1] False /root None"
    assert printed(sandbox, check) == "[1] False /root None"


def test_children_have_the_working_directory_environment_path_and_umask(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "import os, sys; os.mkdir('/root/here'); os.chdir('/root/here'); os.umask(0o027)")
    printed(sandbox, "os.environ['COLOUR'] = 'blue'; sys.path.append('/root/lib')")
    [child] = fork(sandbox)
    check = "print(os.getcwd(), os.environ['COLOUR'], sys.path[-1], oct(os.umask(0o027)))"
    assert printed(child, check) == "/root/here blue /root/lib 0o27"


def test_children_draw_the_random_numbers_that_the_parent_would(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "import random")
    children = fork(sandbox, 2)
    drawn = {printed(each, "print(random.random())") for each in (sandbox, *children)}
    assert len(drawn) == 1


@pytest.mark.usefixtures("ours")
def test_a_generator_without_a_state_in_the_place_of_randoms_costs_no_sandbox(
    sandbox: Sandbox, fork: Fork
) -> None:
    printed(sandbox, "import random; random._inst = random.SystemRandom(); n = 7")
    [child] = fork(sandbox)
    assert printed(child, "print(n)") == "7"
    assert printed(sandbox, "print(n)") == "7"


@pytest.mark.usefixtures("ours")
@pytest.mark.replay_differs("it relies on nothing of the kind")
def test_a_fork_that_fails_over_what_code_has_replaced_says_so_and_the_parent_goes_on(
    sandbox: Sandbox, fork: Fork
) -> None:
    printed(sandbox, "import signal; kept, signal.getitimer = signal.getitimer, lambda which: 1 / 0")
    with pytest.raises(ServerError, match="division by zero"):
        fork(sandbox)
    printed(sandbox, "signal.getitimer = kept; n = 7")
    [child] = fork(sandbox)
    assert printed(child, "print(n)") == "7"


def test_a_fork_of_a_fork_has_all_that_came_before(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "path = ['parent']")
    [child] = fork(sandbox)
    printed(child, "path.append('child')")
    [grandchild] = fork(child)
    printed(grandchild, "path.append('grandchild')")
    [last] = fork(grandchild)
    assert printed(last, "print(path)") == "['parent', 'child', 'grandchild']"
    assert printed(sandbox, "print(path)") == "['parent']"


def test_the_parent_goes_on(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "value = 1")
    for _ in range(3):
        fork(sandbox, 2)
        printed(sandbox, "value += 1")
    assert printed(sandbox, "print(value)") == "4"


@pytest.mark.parametrize(
    "crash", ["import os; os._exit(1)", "import ctypes; ctypes.string_at(0)", "kill -9 $PPID"]
)
def test_a_crash_of_one_touches_no_other(sandbox: Sandbox, fork: Fork, crash: str) -> None:
    printed(sandbox, "value = 1")
    crashes, sibling = fork(sandbox, 2)
    crashes.run_code(crash, "bash" if crash.startswith("kill") else "python")
    assert printed(sibling, "print(value)") == "1"
    assert printed(sandbox, "print(value)") == "1"


def test_a_crash_of_the_parent_touches_no_child(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "value = 1")
    [child] = fork(sandbox)
    sandbox.run_code("import os; os._exit(1)")
    assert printed(child, "print(value)") == "1"
    [grandchild] = fork(child)
    assert printed(grandchild, "print(value)") == "1"


def test_the_end_of_one_that_has_crashed_touches_none_that_was_forked_since(
    sandbox: Sandbox, fork: Fork
) -> None:
    [crashed] = fork(sandbox)
    crashed.run_code("import os; os._exit(1)")
    since = [child for _ in range(16) for child in fork(sandbox)]
    crashed.close()
    assert [printed(child, "print(1)") for child in since] == ["1"] * 16


def test_what_was_printed_before_a_fork_is_not_said_again(sandbox: Sandbox, fork: Fork) -> None:
    assert printed(sandbox, "import ctypes; ctypes.CDLL(None).printf(b'C'); print('Python', end='')")
    [child] = fork(sandbox)
    assert printed(child, "print('child')") == "child"
    assert printed(sandbox, "print('parent')") == "parent"


def test_children_run_bash(sandbox: Sandbox, fork: Fork) -> None:
    [child] = fork(sandbox)
    assert printed(child, "echo $((6 * 7)); pwd", "bash") == "42\n/root"


def test_children_start_processes_threads_and_event_loops(sandbox: Sandbox, fork: Fork) -> None:
    code = """
        import asyncio, subprocess, threading
        async def answer(): return 42
        def check():
            threading.Thread(target=print, args=('thread',)).start()
            print(subprocess.check_output(['echo', 'process'], text=True).strip(), asyncio.run(answer()))
        """
    printed(sandbox, code)
    [child] = fork(sandbox)
    assert sorted(printed(child, "check()").split("\n")) == ["process 42", "thread"]


def test_a_child_is_nobodys_child_process(sandbox: Sandbox, fork: Fork) -> None:
    fork(sandbox, 2)
    assert "ChildProcessError" in sandbox.run_code("import os; os.wait()").stderr


@pytest.mark.usefixtures("ours")
@pytest.mark.replay_differs("code that starts threads is run again: none is left behind")
def test_threads_stay_with_the_parent_and_the_answer_says_so(wire: Wire) -> None:
    parent = wire.create()
    wire.events(parent, "import threading; stop = threading.Event()")
    wire.events(parent, "for _ in range(2): threading.Thread(target=stop.wait).start()")
    answer = wire.post(f"/v1/sandboxes/{parent}/fork", {})
    assert answer.headers["podflare-threads-left-behind"] == "2"
    [child] = answer.json()["children"]
    assert texts(wire.events(child, "print(threading.active_count())")) == ["1"]
    assert texts(wire.events(parent, "print(threading.active_count()); stop.set()")) == ["3"]
    wire.delete(child)


@pytest.mark.usefixtures("ours")
@pytest.mark.replay_differs("code that starts threads is run again: none is left behind")
def test_the_sdk_warns_of_threads_that_stay_with_the_parent(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "import threading; stop = threading.Event(); threading.Thread(target=stop.wait).start()")
    with pytest.warns(ThreadsLeftBehindWarning, match="1 thread"):
        [child] = fork(sandbox)
    assert printed(child, "print('alive')") == "alive"
    printed(sandbox, "stop.set()")


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize("handler", ["signal.SIG_IGN", "lambda *_: os.waitpid(-1, os.WNOHANG)"])
def test_a_parent_with_threads_may_leave_its_child_processes_to_the_kernel_or_to_a_handler(
    wire: Wire, handler: str
) -> None:
    parent = wire.create()
    wire.events(parent, f"import os, signal, threading; signal.signal(signal.SIGCHLD, {handler})")
    wire.events(parent, "stop = threading.Event(); threading.Thread(target=stop.wait).start(); n = 7")
    children = wire.post(f"/v1/sandboxes/{parent}/fork", {"n": 2}).json()["children"]
    assert [texts(wire.events(child, "print(n)")) for child in children] == [["7"], ["7"]]
    wire.events(parent, "stop.set()")
    for child in children:
        wire.delete(child)


def test_a_fork_without_threads_warns_of_nothing(wire: Wire) -> None:
    parent = wire.create()
    answer = wire.post(f"/v1/sandboxes/{parent}/fork", {})
    assert "podflare-threads-left-behind" not in answer.headers
    wire.delete(answer.json()["children"][0])


@SLOW
def test_a_fork_after_pandas_and_pyarrow_warns_of_nothing_and_both_go_on(
    sandbox: Sandbox, fork: Fork
) -> None:
    if not sandbox.run_code("import pandas, pyarrow").ok:
        pytest.skip("the sandbox's Python lacks one of them")
    printed(
        sandbox, "import pandas as pd, pyarrow as pa, pyarrow.compute as pc; data = pa.array(range(100_000))"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        children = fork(sandbox, 2)
    for each in (sandbox, *children):
        assert (
            printed(each, "print(pc.sum(data), pd.Series(['a', 'b']).str.upper().sum())") == "4999950000 AB"
        )


def test_large_arrays_are_inherited_and_independent(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "data = bytearray(50_000_000); data[-1] = 7")
    one, other = fork(sandbox, 2)
    printed(one, "data[-1] = 8")
    assert [printed(each, "print(data[-1])") for each in (sandbox, one, other)] == ["7", "8", "7"]


def test_children_of_a_shared_client_outlive_the_closed_parent(client: Client) -> None:
    parent = Sandbox(client=client)
    [child] = parent.fork()
    parent.close()
    assert printed(child, "print(1)") == "1"
    child.close()
