"""What a child takes over, kind by kind, and that it is the child's own from then on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from podflare import ProcessesLeftBehindWarning, ReplayDiffersWarning, Sandbox

from .printed import printed
from .server import Server
from .wire import Wire, texts

Fork = Callable[..., list[Sandbox]]


@dataclass(frozen=True)
class Kind:
    """`act` is run in the child, then in a second child, then in the parent: each must print `expected`."""

    name: str
    prepare: str
    act: str
    expected: str
    needs: str = ""
    replay_differs: str = ""


_OTHER_NAMES = "code that draws random names draws others when it is run again; the files have the first"

KINDS = [
    Kind(
        "a handle to read",
        "open('/root/f', 'w').write('0123456789'); f = open('/root/f'); _ = f.read(3)",
        "print(f.read(2))",
        "34",
    ),
    Kind(
        "a handle to write",
        "f = open('/root/f', 'w'); _ = f.write('ab'); f.flush()",
        "f.write('c'); f.flush(); print(open('/root/f').read())",
        "abc",
    ),
    Kind(
        "a handle to append",
        "f = open('/root/f', 'a'); _ = f.write('ab'); f.flush()",
        "f.write('c'); f.flush(); print(open('/root/f').read())",
        "abc",
    ),
    Kind(
        "a binary handle to read and write",
        "f = open('/root/f', 'w+b'); f.write(b'abc'); _ = f.seek(1)",
        "f.write(b'X'); f.seek(0); print(f.read())",
        "b'aXc'",
    ),
    Kind(
        "a handle on an unlinked file",
        "import os; f = open('/root/f', 'w+'); f.write('ab'); f.flush(); os.unlink('/root/f')",
        "f.write('c'); f.seek(0); print(f.read(), os.path.exists('/root/f'))",
        "abc False",
    ),
    Kind(
        "two handles that are one",
        "import os; a = os.open('/root/f', os.O_RDWR | os.O_CREAT); b = os.dup(a); _ = os.write(a, b'ab')",
        "os.write(b, b'c'); print(os.lseek(a, 0, 1), open('/root/f').read())",
        "3 abc",
    ),
    Kind(
        "a handle on a directory",
        "import os; os.mkdir('/root/d'); d = os.open('/root/d', os.O_RDONLY)",
        "os.mkdir('made', dir_fd=d); print(os.listdir('/root/d'), os.listdir(d))",
        "['made'] ['made']",
    ),
    Kind(
        "a temporary file",
        "import tempfile; f = tempfile.TemporaryFile('w+'); _ = f.write('ab'); f.flush()",
        "f.write('c'); f.seek(0); print(f.read())",
        "abc",
    ),
    Kind(
        "a named temporary file",
        "import tempfile; f = tempfile.NamedTemporaryFile('w+'); _ = f.write('ab'); f.flush()",
        "f.write('c'); f.flush(); print(open(f.name).read()); f.close()",
        "abc",
        replay_differs=_OTHER_NAMES,
    ),
    Kind(
        "a temporary directory",
        "import os, tempfile; d = tempfile.TemporaryDirectory(); open(d.name + '/f', 'w').close()",
        "print(os.listdir(d.name)); d.cleanup(); print(os.path.exists(d.name))",
        "['f']\nFalse",
        replay_differs=_OTHER_NAMES,
    ),
    Kind(
        "an sqlite connection",
        "import sqlite3; db = sqlite3.connect('/root/db')\n"
        "with db: _ = db.execute('create table t (n)'), db.execute('insert into t values (1)')",
        "with db: _ = db.execute('insert into t values (2)')\n"
        "print(db.execute('select n from t').fetchall(), "
        "sqlite3.connect('/root/db').execute('select count(*) from t').fetchone())",
        "[(1,), (2,)] (2,)",
    ),
    Kind(
        "an sqlite connection in write-ahead mode",
        "import sqlite3; db = sqlite3.connect('/root/db'); _ = db.execute('pragma journal_mode=wal')\n"
        "with db: _ = db.execute('create table t (n)'), db.execute('insert into t values (1)')",
        "with db: _ = db.execute('insert into t values (2)')\n"
        "print(db.execute('select n from t').fetchall(), "
        "sqlite3.connect('/root/db').execute('select count(*) from t').fetchone())",
        "[(1,), (2,)] (2,)",
    ),
    Kind(
        "an sqlite transaction that is open",
        "import sqlite3; db = sqlite3.connect('/root/db')\n"
        "with db: _ = db.execute('create table t (n)')\n_ = db.execute('insert into t values (1)')",
        "db.commit(); print(sqlite3.connect('/root/db').execute('select n from t').fetchall())",
        "[(1,)]",
    ),
    Kind(
        "an sqlite database in memory",
        "import sqlite3; db = sqlite3.connect(':memory:'); _ = db.execute('create table t (n)')",
        "_ = db.execute('insert into t values (1)'); print(db.execute('select n from t').fetchall())",
        "[(1,)]",
    ),
    Kind(
        "a shared mapping of a file",
        "import mmap; f = open('/root/f', 'w+b'); f.write(b'ab' * 2048); f.flush(); m = mmap.mmap(f.fileno(), 4096)",
        "m[0] += 1; m.flush(); print(m[:2], open('/root/f', 'rb').read(2))",
        "b'bb' b'bb'",
    ),
    Kind(
        "shared memory without a file",
        "import mmap; m = mmap.mmap(-1, 8192); m[0:2] = b'ab'",
        "m[0] += 1; print(m[:2])",
        "b'bb'",
    ),
    Kind(
        "the working directory",
        "import os; os.mkdir('/root/d'); os.chdir('/root/d')",
        "open('f', 'w').close(); print(os.getcwd(), os.listdir('/root/d'))",
        "/root/d ['f']",
    ),
    Kind(
        "the environment, umask and sys.path",
        "import os, sys; os.environ['A'] = '1'; os.umask(0o027); sys.path.insert(0, '/root/lib')",
        "os.environ['A'] += '2'; print(os.environ['A'], oct(os.umask(0o027)), sys.path.pop(0))",
        "12 0o27 /root/lib",
    ),
    Kind(
        "a signal handler",
        "import signal; seen = []; _ = signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))",
        "signal.raise_signal(signal.SIGUSR1); print(seen)",
        "[1]",
    ),
    Kind(
        "a timer that runs",
        "import signal; signal.signal(signal.SIGALRM, lambda *_: None); _ = signal.setitimer(signal.ITIMER_REAL, 999)",
        "print(signal.getitimer(signal.ITIMER_REAL)[0] > 900)",
        "True",
    ),
    Kind(
        "a generator half consumed",
        "g = (n * n for n in range(10)); _ = next(g), next(g)",
        "print(next(g))",
        "4",
    ),
    Kind(
        "what no pickle takes",
        "import re, threading\nclass Odd:\n    def __reduce__(self): raise TypeError\n"
        "odd = [Odd(), lambda: 7, threading.Lock(), re.finditer('.', 'abc'), compile('1', '', 'eval')]",
        "odd[2].acquire(); print(odd[1](), next(odd[3]).group(), eval(odd[4]))",
        "7 a 1",
    ),
    Kind(
        "an event loop",
        "import asyncio; loop = asyncio.new_event_loop(); queue = asyncio.Queue()\n"
        "async def get(): return await queue.get()\n"
        "task = loop.create_task(get()); loop.run_until_complete(asyncio.sleep(0))",
        "queue.put_nowait(7); print(loop.run_until_complete(task), "
        "loop.run_until_complete(loop.run_in_executor(None, sum, [1, 2])))",
        "7 3",
    ),
    Kind(
        "standard output redirected and kept aside",
        "import os; saved = os.dup(1); log = open('/root/log', 'w'); os.dup2(log.fileno(), 1); os.system('echo a')",
        "os.system('echo b'); os.dup2(saved, 1); print(open('/root/log').read().split()); os.dup2(log.fileno(), 1)",
        "['a', 'b']",
    ),
    Kind(
        "numpy's random state",
        "import numpy as np; np.random.seed(1); rng = np.random.default_rng(1); _ = np.random.rand(3), rng.random()",
        "print(round(float(np.random.rand()), 6), round(float(rng.random()), 6))",
        "0.302333 0.950464",
        needs="numpy",
    ),
    Kind(
        "a data frame",
        "import pandas as pd; df = pd.DataFrame({'a': range(1000)})",
        "df.loc[0, 'a'] = 500; print(df['a'].sum())",
        "500000",
        needs="pandas",
    ),
]


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            kind,
            id=kind.name,
            marks=pytest.mark.replay_differs(kind.replay_differs) if kind.replay_differs else (),
        )
        for kind in KINDS
    ],
)
def test_each_has_its_own(sandbox: Sandbox, fork: Fork, kind: Kind) -> None:
    if kind.needs and sandbox.run_code(f"import {kind.needs}").exit_code:
        pytest.skip(f"{kind.needs} is not installed")
    printed(sandbox, kind.prepare)
    for each in (*fork(sandbox, 2), sandbox):
        assert printed(each, kind.act) == kind.expected


def test_a_working_directory_that_was_removed_is_no_obstacle(
    server: Server, sandbox: Sandbox, fork: Fork
) -> None:
    if server.isolation == "preload":
        pytest.skip("libfakechroot finds no path at all from a directory that was removed")
    printed(sandbox, "import os; os.mkdir('/root/d'); os.chdir('/root/d'); os.rmdir('/root/d')")
    [child] = fork(sandbox)
    assert "FileNotFoundError" in child.run_code("os.getcwd()").stderr
    assert printed(child, "os.chdir('/root'); print(os.listdir())") == "[]"


@pytest.mark.parametrize("module", ["class Random: pass", "raise SystemExit", ""])
def test_a_module_of_the_users_called_random_is_no_obstacle(
    sandbox: Sandbox, fork: Fork, module: str
) -> None:
    printed(
        sandbox, f"import sys, types; sys.modules['random'] = types.ModuleType('random'); text = {module!r}"
    )
    [child] = fork(sandbox)
    assert printed(child, "print(text)") == module


@pytest.mark.usefixtures("ours")
def test_a_pipe_and_a_socket_go_on_leading_to_their_other_ends(
    server: Server, sandbox: Sandbox, fork: Fork
) -> None:
    """They cannot be split: whoever reads first has it. (A replay makes them anew.)"""
    printed(
        sandbox, "import os, socket; r, w = os.pipe(); a, b = socket.socketpair(); _ = os.write(w, b'in')"
    )
    [child] = fork(sandbox)
    printed(child, "_ = os.write(w, b'+'), a.send(b'x')")
    expected = "b'in+'" if server.engine == "live" else "b'in'"
    assert printed(sandbox, "print(os.read(r, 9))") == expected


@pytest.mark.usefixtures("ours")
def test_processes_stay_with_the_parent_and_the_answer_says_so(wire: Wire) -> None:
    parent = wire.create()
    wire.events(parent, "sleep 1000 > /dev/null 2>&1 & setsid sleep 1000 > /dev/null 2>&1 &", "bash")
    answer = wire.post(f"/v1/sandboxes/{parent}/fork", {"n": 2})
    children = answer.json()["children"]
    assert answer.headers.get("podflare-processes-left-behind") == "2"
    again = wire.post(f"/v1/sandboxes/{children[0]}/fork", {})
    assert "podflare-processes-left-behind" not in again.headers
    for child in (*children, *again.json()["children"]):
        wire.delete(child)


@pytest.mark.usefixtures("ours")
def test_the_sdk_warns_of_processes_that_stay_with_the_parent(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "sleep 1000 > /dev/null 2>&1 &", "bash")
    with pytest.warns(ProcessesLeftBehindWarning, match="1 process"):
        fork(sandbox)


@pytest.mark.usefixtures("ours")
def test_code_that_is_not_deterministic_is_warned_of_where_it_is_run_again(
    server: Server, sandbox: Sandbox, fork: Fork
) -> None:
    printed(sandbox, "x = 1")
    sandbox.run_code("import os; print(os.urandom(8))")
    sandbox.run_code("1 / 0")  # fails again, and so as it did
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        [child] = fork(sandbox)
    assert [w.category for w in caught] == ([ReplayDiffersWarning] if server.engine == "replay" else [])
    assert printed(child, "print(x)") == "1"


@pytest.mark.usefixtures("ours")
def test_an_interrupted_call_is_not_run_again_and_told(server: Server, wire: Wire) -> None:
    parent = wire.create()
    wire.events(parent, "before = 1")
    running = wire.begin(parent, "print('running')\nwhile True: pass")
    running.next_event()
    running.go_away()
    wire.events(parent, "after = before + 1")
    answer = wire.post(f"/v1/sandboxes/{parent}/fork", {})
    expected = "2" if server.engine == "replay" else None
    assert answer.headers.get("podflare-replay-differences") == expected
    [child] = answer.json()["children"]
    assert texts(wire.events(child, "print(before, after)")) == ["1 2"]
    wire.delete(child)


def test_tracebacks_in_a_child_count_the_calls_on(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "def fail(): raise ValueError")
    [child] = fork(sandbox)
    stderr = child.run_code("fail()").stderr
    assert 'File "<exec-1>", line 1, in fail' in stderr
    assert 'File "<exec-2>", line 1, in <module>' in stderr
