"""What a program of a portable sandbox gets from Python has the types and the names that it has elsewhere."""

from __future__ import annotations

import textwrap

import pytest

from .conftest import Sandbox

SCENARIOS = {
    "entries of a directory": """
        import functools, os, pickle, sys
        os.makedirs("/root/d/sub"); open("/root/d/f", "w").close(); os.chdir("/root/d")
        (entry,) = [entry for entry in os.scandir("/root/d") if entry.name == "f"]
        assert type(entry) is os.DirEntry and repr(type(entry)) == "<class 'posix.DirEntry'>", type(entry)
        assert repr(entry) == "<DirEntry 'f'>" and entry.path == os.fspath(entry) == "/root/d/f"
        assert entry.inode() == entry.stat().st_ino == os.stat(entry).st_ino and entry.is_file()
        for place in ("/root/d", b"/root/d", ".", os.open("/root/d", os.O_RDONLY), "/usr"):
            assert all(isinstance(entry, os.DirEntry) for entry in os.scandir(place)), place
        assert {entry.path for entry in os.scandir(b"/root/d")} == {b"/root/d/f", b"/root/d/sub"}
        if sys.version_info < (3, 12):  # from there on Python itself refuses a bytearray
            assert {entry.path for entry in os.scandir(bytearray(b"/root/d"))} == {b"/root/d/f", b"/root/d/sub"}
        kind = functools.singledispatch(lambda value: None)
        kind.register(os.DirEntry, lambda value: "entry")
        assert kind(entry) == kind(next(os.scandir("."))) == "entry"
        for refused in (lambda: pickle.dumps(entry), os.DirEntry, lambda: setattr(entry, "name", "g")):
            try: refused()
            except (AttributeError, TypeError): pass
            else: assert False, refused
        os.remove("/root/d/f")
        try: entry.stat(follow_symlinks=False) and os.stat("/root/d/f")
        except FileNotFoundError as error: assert error.filename == "/root/d/f"
    """,
    "connections of SQLite": """
        import pathlib, sqlite3
        class Own(sqlite3.Connection):
            def __init__(self, database, *args, **kwargs):
                self.database = database
                super().__init__(database, *args, **kwargs)
        plain = sqlite3.connect("/root/a.db")
        assert type(plain) is sqlite3.Connection and plain.cursor().connection is plain
        assert repr(sqlite3.Connection) == "<class 'sqlite3.Connection'>"
        plain.execute("create table t(a)"); plain.execute("insert into t values (1)"); plain.commit()
        plain.row_factory = sqlite3.Row
        assert plain.execute("select a from t").fetchone()["a"] == 1
        for made in (
            sqlite3.connect("/root/a.db", factory=Own),
            sqlite3.connect("/root/a.db", 5.0, 0, None, True, Own),
            sqlite3.connect(database="/root/a.db", factory=Own),
            Own("/root/a.db"),
        ):
            assert type(made) is Own and made.database == "/root/a.db"
            assert made.execute("select a from t").fetchall() == [(1,)]
        for place in (pathlib.Path("/root/a.db"), b"/root/a.db", "a.db"):
            assert sqlite3.Connection(place).execute("select a from t").fetchall() == [(1,)]
        assert sqlite3.connect("file:/root/a.db?mode=ro", uri=True).execute("select a from t").fetchone() == (1,)
        copy = sqlite3.connect(":memory:"); plain.backup(copy)
        assert copy.execute("select a from t").fetchone() == (1,)
    """,
    "paths that are bytes": """
        import glob, os, shutil, subprocess, sys, warnings
        warnings.simplefilter("ignore")
        buffers = sys.version_info < (3, 12)  # from there on Python itself refuses a bytearray
        class Path:
            def __fspath__(self): return b"/root/a"
        for path in (b"/root/a", Path()):
            with open(path, "w") as file: assert file.write("1")
            assert os.stat(path).st_size == 1 and os.path.exists(path)
            assert subprocess.check_output([b"cat", path]) == b"1"
        for path in (bytearray(b"/root/a"), memoryview(b"/root/a")) if buffers else ():
            assert os.stat(path).st_size == 1 and os.listdir(bytearray(b"/root")) == [b"a"]
            os.rename(path, b"/root/b"); os.rename(bytearray(b"/root/b"), path)
        assert subprocess.check_output(b"pwd", cwd=b"/data") == b"/data\\n" and os.getcwdb() == b"/root"
        assert glob.glob(b"/root/*") == [b"/root/a"] and os.path.realpath(b"/root/a") == b"/root/a"
        for missing in (b"/root/none", bytearray(b"/root/none")):
            try: os.stat(missing)
            except FileNotFoundError as error: assert error.filename == missing
            except TypeError as error: assert not buffers and "not bytearray" in str(error)
            else: assert False
    """,
    "names of sockets": """
        import os, socket
        server = socket.socket(socket.AF_UNIX); server.bind("/root/s"); server.listen()
        assert server.getsockname() == "/root/s"
        client = socket.socket(socket.AF_UNIX); client.bind("/root/c"); client.connect("/root/s")
        assert client.getpeername() == "/root/s" and server.accept()[1] == "/root/c"
        left, right = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
        left.bind("/root/l"); right.bind("/root/r"); left.sendto(b"1", "/root/r")
        assert right.recvfrom(9) == (b"1", "/root/l")
    """,
    "errors of programs that are not there": """
        import os, subprocess
        for start, named in (
            (lambda: os.execv("/root/none", ["none"]), None),
            (lambda: os.execve("/root/none", ["none"], {}), "/root/none"),
            (lambda: os.posix_spawn("/root/none", ["none"], {}), "/root/none"),
            (lambda: subprocess.run(["/root/none"]), "/root/none"),
            (lambda: subprocess.run(["pwd"], cwd="/root/none"), "/root/none"),
        ):
            try: start()
            except FileNotFoundError as error: assert error.filename == named, (named, error)
            else: assert False, named
    """,
    "functions that are adapted": """
        import contextlib, io, sys, threading, traceback
        assert traceback.walk_tb.__module__ == "traceback" and threading.excepthook.__module__ == "_thread"
        assert threading.excepthook.__name__ == threading.excepthook.__qualname__ != "excepthook"
        with contextlib.redirect_stderr(io.StringIO()) as said: sys.excepthook(1, "1", 1)
        assert "TypeError: print_exception(): Exception expected for value, str found" in said.getvalue()
    """,
    "a program that is a descriptor": """
        import os
        child = os.fork()
        if not child: os.execve(os.open("/bin/true", os.O_RDONLY), ["true"], {})
        assert os.waitpid(child, 0)[1] == 0
    """,
    "the history of readline": """
        import os
        try: import readline
        except ImportError: os._exit(0)
        readline.add_history("first"); readline.write_history_file("/root/h")
        readline.add_history("second"); readline.append_history_file(1, "/root/h")
        readline.clear_history(); readline.read_history_file("/root/h")
        assert [readline.get_history_item(n) for n in (1, 2)] == ["first", "second"], open("/root/h").read()
    """,
}


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("preload", ["sys", "os, socket, sqlite3, subprocess"])
def test_it_is_as_elsewhere(sandbox: Sandbox, name: str, preload: str) -> None:
    """Also where the modules were imported before the mapping was there, as in a zygote."""
    assert sandbox.python(textwrap.dedent(SCENARIOS[name]), preload) == ""
