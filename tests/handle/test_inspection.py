"""What is in a sandbox, seen from outside, on every backend: no exec, no name, no output of it is left."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import httpx
import pytest

from podflare import Sandbox
from podflare_emulator import Emulator, EmulatorError
from podflare_emulator.control import inspection
from podflare_emulator.handle.inspection import Entry, Global

from ..matrix import SLOW, backends
from ..serving import serving


@pytest.fixture(scope="module", params=backends())
def server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    kind = "process" if request.param == "preload" else "thread"
    with serving(request.param, server=kind) as emulator:
        yield emulator


@SLOW
def test_a_file_is_read_and_written(emulator: Emulator, sandbox: Sandbox) -> None:
    inside = emulator.sandbox(sandbox)
    sandbox.run_code("open('/root/x', 'wb').write(bytes(range(256)))")
    assert inside.read("/root/x") == bytes(range(256))
    inside.write("/data/deep/er/text", "é\n")
    inside.write(PurePosixPath("/root/x"), b"")
    assert sandbox.run_code("cat /data/deep/er/text; wc -c < /root/x", "bash").stdout == "é\n0"
    assert inside.read("/root/../data/deep/er/text") == "é\n".encode()
    with sandbox.fork(1)[0] as child:
        assert child.run_code("cat /data/deep/er/text", "bash").stdout == "é"


@SLOW
def test_a_large_file_travels_both_ways(emulator: Emulator, sandbox: Sandbox) -> None:
    large = os.urandom(1 << 20) * 70 + b"end"  # more than a request's body may hold
    inside = emulator.sandbox(sandbox.id)
    inside.write("/root/large", large)
    assert sandbox.run_code("print(len(open('/root/large', 'rb').read()))").stdout == str(len(large))
    assert inside.read("/root/large") == large


def test_a_file_that_is_written_over_keeps_its_mode(emulator: Emulator, sandbox: Sandbox) -> None:
    sandbox.run_code(
        "import os; os.umask(0o77); open('/root/run', 'w').write('#!/bin/sh\\necho long before')"
    )
    sandbox.run_code("os.chmod('/root/run', 0o750)")
    emulator.sandbox(sandbox).write("/root/run", "#!/bin/sh\necho after")
    emulator.sandbox(sandbox).write("/root/new", "")
    assert sandbox.run_code("/root/run; stat -c %a /root/new", "bash").stdout == "after\n644"


def test_what_runs_does_not_see_that_it_was_looked_at(emulator: Emulator, sandbox: Sandbox) -> None:
    sandbox.run_code("x = 1")
    inside = emulator.sandbox(sandbox)
    inside.write("/root/x", "1")
    inside.read("/root/x")
    inside.tree()
    inside.globals()
    assert [one.code for one in emulator.execs()] == ["x = 1"]
    names = sandbox.run_code("print([name for name in globals() if not name.startswith('__')])")
    assert (names.stdout, names.stderr) == ("['x']", "")
    assert sandbox.run_code("1 / 0").stderr.count("<exec-3>") == 1


def test_a_tree_tells_types_sizes_and_targets(emulator: Emulator, sandbox: Sandbox) -> None:
    sandbox.run_code("mkdir -p b/c; printf 12345 > b/c/file; touch a; ln -s b/c link; mkfifo pipe", "bash")
    tree = emulator.sandbox(sandbox).tree()
    assert tree == {
        "/root/a": Entry("file", 0, None),
        "/root/b": Entry("directory", 0, None),
        "/root/b/c": Entry("directory", 0, None),
        "/root/b/c/file": Entry("file", 5, None),
        "/root/link": Entry("link", 0, "b/c"),
        "/root/pipe": Entry("other", 0, None),
    }
    assert str(tree).splitlines() == [
        "/root",
        "├── a  0 B",
        "├── b/",
        "│   └── c/",
        "│       └── file  5 B",
        "├── link -> b/c",
        "└── pipe",
    ]
    assert [*emulator.sandbox(sandbox).tree("/root/b/")] == ["/root/b/c", "/root/b/c/file"]


def test_the_tree_of_the_root_is_the_sandboxs_own(emulator: Emulator, sandbox: Sandbox) -> None:
    sandbox.run_code("open('/tmp/x', 'w').write('1'); open('/root/y', 'w')")
    tree = emulator.sandbox(sandbox).tree("/")
    assert tree["/tmp/x"].size == 1
    assert "/root/y" in tree
    assert not any(path.startswith(("/proc/", "/usr/")) for path in tree)
    assert str(tree).startswith("/\n├── ")


def test_a_deep_tree_and_names_that_are_no_text(emulator: Emulator, sandbox: Sandbox) -> None:
    made = sandbox.run_code(
        """
        import os
        open(b"\\xff", "w").close()
        for number in range(300):
            try:
                os.mkdir("d" * 50)
                os.chdir("d" * 50)
            except OSError:  # where paths are mapped they have an end
                break
            print(number)
        """
    )
    depth = len(made.stdout.splitlines())
    tree = emulator.sandbox(sandbox).tree()
    assert len(tree) == depth + 1 > 70
    assert len(str(tree).splitlines()) == depth + 2
    assert "/root/\ufffd" in tree


def test_globals_are_the_users_with_their_types_and_short_reprs(emulator: Emulator, sandbox: Sandbox) -> None:
    sandbox.run_code(
        """
        import json
        def double(n): return 2 * n
        class Point:
            def __repr__(self): return "a\\n  point"
        x, text, nothing, empty, one = 1, "t" * 1000, None, (), (1,)
        point, cycle, log = Point(), {"self": []}, open("/root/log", "w")
        cycle["self"].append(cycle)
        numbers = list(range(10_000_000))
        mixed = {"b": 2.5, "a": {1, 2}, b"c": frozenset([None])}
        """
    )
    found = emulator.sandbox(sandbox).globals()
    assert " ".join(found) == "json double Point x text nothing empty one point cycle log numbers mixed"
    assert {name: found[name].type for name in ("json", "double", "Point", "nothing")} == {
        "json": "module",
        "double": "function",
        "Point": "type",
        "nothing": "NoneType",
    }
    assert found["x"] == Global("int", "1")
    assert found["text"] == Global("str", "'" + "t" * 76 + "...")
    assert found["point"] == Global("Point", "a point")
    assert (found["empty"].repr, found["one"].repr) == ("()", "(1,)")
    assert found["log"].repr.startswith("<_io.TextIOWrapper name='/root/log'")
    assert found["cycle"].repr == "{'self': [{'self': [...]}]}"
    assert found["numbers"].repr.startswith("[0, 1, 2, 3, ")
    assert (len(found["numbers"].repr), found["numbers"].repr[-3:]) == (80, "...")
    assert found["mixed"].repr == "{'b': 2.5, 'a': {1, 2}, b'c': frozenset({None})}"


@SLOW
def test_a_repr_that_misbehaves_hurts_nobody(emulator: Emulator, sandbox: Sandbox) -> None:
    sandbox.run_code(
        """
        import os, sys, threading
        class Bad:
            def __init__(self, do): self.do = do
            def __repr__(self):
                state.append("changed")
                print("printed", flush=True)
                os.write(2, b"written")
                return self.do()
        state = []
        raises, ends, text = Bad(lambda: 1 / 0), Bad(lambda: os._exit(3)), Bad(lambda: 5)
        def spin():
            while True: pass
        hangs, half = Bad(spin), Bad(lambda: "\\ud800")
        lock = threading.Lock()
        after = 1
        """
    )
    found = emulator.sandbox(sandbox).globals()
    assert found["raises"] == Global("Bad", "<its repr raised ZeroDivisionError>")
    assert found["ends"] == Global("Bad", "<its repr did not return>")
    assert found["text"] == Global("Bad", "<its repr raised TypeError>")
    assert found["hangs"] == Global("Bad", "<its repr did not return>")
    assert found["half"] == Global("Bad", "\\ud800")
    assert found["after"] == Global("int", "1")
    result = sandbox.run_code("print(state)")
    assert (result.stdout, result.stderr) == ("[]", "")
    assert sandbox.run_code("print(os.waitpid(-1, os.WNOHANG))").stderr.endswith("No child processes")
    with sandbox.fork(1)[0] as child:
        assert child.run_code("print(after)").stdout == "1"


def test_too_many_that_misbehave_are_not_waited_for(emulator: Emulator, sandbox: Sandbox) -> None:
    sandbox.run_code(
        """
        import os
        class Ends:
            def __repr__(self): os._exit(1)
        many = [Ends() for _ in range(20)]
        globals().update({f"end{number}": end for number, end in enumerate(many)})
        """
    )
    found = emulator.sandbox(sandbox).globals()
    assert found["end0"].repr == "<its repr did not return>"
    assert found["end19"] == Global("Ends", "<its repr was not called: too many others did not return>")


def test_a_sandbox_with_threads_is_inspected(emulator: Emulator, sandbox: Sandbox) -> None:
    sandbox.run_code(
        "import threading; e = threading.Event(); t = threading.Thread(target=e.wait); t.start()"
    )
    assert emulator.sandbox(sandbox).globals()["t"].type == "Thread"
    sandbox.run_code("e.set()")


def test_a_child_and_a_merged_parent_show_their_own(emulator: Emulator, sandbox: Sandbox) -> None:
    sandbox.run_code("x = 1; open('/root/x', 'w').write('parent')")
    (child,) = sandbox.fork(1)
    child.run_code("x = 2; open('/root/x', 'w').write('child')")
    assert emulator.sandbox(child).globals()["x"].repr == "2"
    assert emulator.sandbox(sandbox).read("/root/x") == b"parent"
    sandbox.merge_into(child)
    assert emulator.sandbox(sandbox).read("/root/x") == b"child"
    assert emulator.sandbox(sandbox).globals()["x"].repr == "2"
    with pytest.raises(
        EmulatorError, match=f"{child.id} not found: it was merged into {sandbox.id}; use that"
    ):
        emulator.sandbox(child.id).globals()


def test_a_sandbox_that_is_not_there_is_named(emulator: Emulator, sandbox: Sandbox) -> None:
    sandbox.close()
    with pytest.raises(EmulatorError, match=f"sandbox {sandbox.id} not found: it was destroyed"):
        emulator.sandbox(sandbox).tree()
    with pytest.raises(EmulatorError, match="sandbox sbx_x not found: no sandbox has had that id"):
        emulator.sandbox("sbx_x").read("/root/x")


def test_one_whose_interpreter_has_ended_says_so(emulator: Emulator, sandbox: Sandbox) -> None:
    sandbox.run_code("import os; os._exit(3)")
    with pytest.raises(EmulatorError, match="the sandbox's interpreter ended by itself with exit code 3"):
        emulator.sandbox(sandbox).globals()


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        ("read", ("/root/none",), "/root/none: No such file or directory"),
        ("read", ("/root",), "/root: Is a directory"),
        ("read", ("/root/pipe",), "/root/pipe: Not a regular file"),
        ("read", ("x",), "path: expected an absolute one such as /root/x, got 'x'"),
        ("read", ("/root/\0",), "embedded null"),
        ("tree", ("/root/none",), "/root/none: No such file or directory"),
        ("tree", ("/root/file",), "/root/file: Not a directory"),
        ("write", ("/root", b""), "/root: Is a directory"),
        ("write", ("/root/file/x", b""), "/root/file/x: Not a directory"),
        ("write", ("/usr/x", b""), "/usr belongs to the system"),
        ("write", ("/root/x", 5), "expected bytes or str, got int"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    emulator: Emulator, sandbox: Sandbox, call: str, arguments: tuple[Any, ...], message: str
) -> None:
    sandbox.run_code("mkfifo pipe; touch file", "bash")
    with pytest.raises(EmulatorError) as raised:
        getattr(emulator.sandbox(sandbox), call)(*arguments)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert sandbox.run_code("print(1)").stdout == "1"


def test_it_waits_for_what_runs(emulator: Emulator, sandbox: Sandbox) -> None:
    events = sandbox.run_code_stream(
        "import time\nprint('begun', flush=True)\ntime.sleep(0.2)\nopen('/root/x', 'w').write('written')"
    )
    next(events)
    assert emulator.sandbox(sandbox).read("/root/x") == b"written"
    events.close()


@SLOW
def test_one_that_is_busy_for_long_says_so(portable_emulator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = portable_emulator()
    with emulator.redirect_clients(), Sandbox() as sandbox:
        events = sandbox.run_code_stream("import time; print(1, flush=True)\nwhile True: time.sleep(0.01)")
        next(events)
        with monkeypatch.context() as impatient:
            impatient.setattr(inspection, "_PATIENCE", 0.05)
            with pytest.raises(EmulatorError, match="is busy: what runs in it has not ended for"):
                emulator.sandbox(sandbox).globals()
        events.close()
        assert "time" in emulator.sandbox(sandbox).globals()


def test_the_control_api_does_it_in_json(emulator: Emulator, sandbox: Sandbox) -> None:
    def call(name: str, status: int = 200, **arguments: Any) -> Any:
        response = httpx.post(f"{emulator.url}/_emulator/{name}", json={"sandbox": sandbox.id, **arguments})
        assert response.status_code == status, response.text
        return response.json().get("result")

    call("write_file", path="/root/x", base64=base64.b64encode(b"12").decode())
    call("write_file", path="/root/x", base64=base64.b64encode(b"3").decode(), append=True)
    assert call("read_file", path="/root/x") == {"base64": base64.b64encode(b"123").decode(), "end": True}
    assert call("list_files") == {
        "top": "/root",
        "entries": [{"path": "/root/x", "type": "file", "size": 3, "target": None}],
    }
    sandbox.run_code("x = [1]")
    assert call("read_globals") == {"x": {"type": "list", "repr": "[1]"}}
    call("write_file", 400, path="/root/x", base64="?")
    call("read_file", 400, path="/root/x", offset=-1)
    call("read_file", 404, sandbox="sbx_x", path="/root/x")
