"""Python code in a portable sandbox finds a machine of its own."""

from __future__ import annotations

import shutil
import textwrap

import pytest

from .conftest import Sandbox

SCENARIOS = {
    "open writes, appends and reads": """
        with open("/root/a.txt", "w") as file:
            file.write("one")
        with open(b"/root/a.txt", "a") as file:
            file.write(" two")
        assert open("/root/a.txt").read() == "one two"
        assert file.name == b"/root/a.txt"
    """,
    "io.FileIO is mapped, and open's files are of it": """
        import io
        with io.FileIO("/root/a", "w") as file:
            file.write(b"1")
            assert file.name == "/root/a"
        with open("/root/a", "rb", buffering=0) as file:
            assert isinstance(file, io.FileIO)
        class Own(io.FileIO): pass
        with Own("/root/a") as file:
            assert file.read() == b"1" and isinstance(file, Own)
    """,
    "os names files by the sandbox's paths": """
        import os
        os.makedirs("/data/a/b")
        descriptor = os.open("/data/a/b/f", os.O_CREAT | os.O_WRONLY)
        os.write(descriptor, b"12"); os.close(descriptor)
        assert os.stat("/data/a/b/f").st_size == os.lstat(b"/data/a/b/f").st_size == 2
        os.rename("/data/a/b/f", "/data/a/g"); os.replace("/data/a/g", "/tmp/h")
        os.link("/tmp/h", "/tmp/i"); os.truncate("/tmp/i", 1); os.utime("/tmp/i", (1, 2)); os.chmod("/tmp/i", 0o600)
        assert os.access("/tmp/i", os.R_OK) and not os.access("/tmp/none", os.F_OK)
        assert sorted(os.listdir("/tmp")) == ["h", "i"] and os.listdir(b"/data") == [b"a"]
        assert [(top, dirs, files) for top, dirs, files in os.walk("/data")] == [
            ("/data", ["a"], []), ("/data/a", ["b"], []), ("/data/a/b", [], [])]
        os.removedirs("/data/a/b"); os.unlink("/tmp/h"); os.remove(path="/tmp/i")
        os.mkfifo("/tmp/fifo")
    """,
    "scandir's entries are the sandbox's": """
        import os
        open("/root/f", "w").close(); os.mkdir("/root/d")
        with os.scandir("/root") as entries:
            entries = sorted(entries, key=lambda entry: entry.name)
        assert [(entry.path, entry.is_dir(), os.fspath(entry)) for entry in entries] == [
            ("/root/d", True, "/root/d"), ("/root/f", False, "/root/f")]
        assert all(isinstance(entry, os.DirEntry) for entry in entries)
        assert [entry.path for entry in os.scandir()] == [f"./{entry.name}" for entry in os.scandir(".")]
    """,
    "the working directory": """
        import os, pathlib
        assert os.getcwd() == "/root" and os.getcwdb() == b"/root" and str(pathlib.Path.cwd()) == "/root"
        os.mkdir("/workspace/p"); os.chdir("/workspace/p")
        open("here", "w").close()
        assert os.path.abspath("here") == os.path.realpath("here") == "/workspace/p/here"
        os.chdir("/"); assert os.getcwd() == "/"
        os.chdir("/usr"); assert os.getcwd() == "/usr"
    """,
    "no way up leads out of the sandbox": """
        import os
        open("/x", "w").close()
        assert os.path.exists("../../../../../../../../x") and os.path.exists("/../../x")
        assert os.path.exists("/root/../../../etc/passwd")
        os.chdir("../../../../../../.."); assert os.getcwd() == "/"
        os.makedirs("/data/deep"); os.symlink("/data/deep", "/root/link")
        open("/root/link/../up", "w").close(); assert sorted(os.listdir("/data")) == ["deep", "up"]
    """,
    "symbolic links": """
        import os
        open("/data/f", "w").write("1")
        os.symlink("/data/f", "/root/absolute"); os.symlink("../data/f", "/root/relative")
        assert os.readlink("/root/absolute") == "/data/f" and os.readlink("/root/relative") == "../data/f"
        assert open("/root/absolute").read() == open("/root/relative").read() == "1"
        assert os.path.realpath("/root/absolute") == os.path.realpath("/root/relative") == "/data/f"
        assert os.path.islink("/root/absolute") and os.path.samefile("/root/absolute", "/data/f")
    """,
    "a double slash and a dot are no other place": """
        open("//root//./a", "w").write("1")
        assert open("/./root/a").read() == "1"
    """,
    "directory descriptors": """
        import os
        descriptor = os.open("/data", os.O_RDONLY)
        os.mkdir("d", dir_fd=descriptor); os.symlink("x", "l", dir_fd=descriptor)
        os.rename("d", "e", src_dir_fd=descriptor, dst_dir_fd=descriptor)
        assert sorted(os.listdir(descriptor)) == ["e", "l"] and os.stat in os.supports_dir_fd
        os.chdir(descriptor); assert os.getcwd() == "/data"
    """,
    "errors name the sandbox's paths": """
        import os, shutil
        for call in (open, os.stat, os.listdir, os.scandir, os.chdir, os.unlink):
            try: call("/root/none")
            except FileNotFoundError as error: assert error.filename == "/root/none", error.filename
            else: raise AssertionError(call)
        try: os.rename("/root/none", "/root/other")
        except FileNotFoundError as error: assert str(error).endswith("'/root/none' -> '/root/other'"), error
    """,
    "pathlib": """
        from pathlib import Path
        place = Path("/data") / "p" / "q"
        place.mkdir(parents=True)
        (place / "f.txt").write_text("text"); (place / "g").touch()
        assert (place / "f.txt").read_text() == "text" and (place / "f.txt").exists()
        assert [str(path) for path in sorted(Path("/data").rglob("*"))] == [
            "/data/p", "/data/p/q", "/data/p/q/f.txt", "/data/p/q/g"]
        assert sorted(path.name for path in place.iterdir()) == ["f.txt", "g"]
        assert [str(path) for path in Path("/data").glob("*/q/*.txt")] == ["/data/p/q/f.txt"]
        (place / "g").rename("/tmp/g"); (place / "f.txt").unlink(); place.rmdir()
        assert Path.home() == Path("/root") and Path("~/x").expanduser() == Path("/root/x")
        (Path("/tmp/l")).symlink_to("/tmp/g"); assert Path("/tmp/l").resolve() == Path("/tmp/g")
    """,
    "shutil": """
        import os, shutil
        os.makedirs("/data/a/b"); open("/data/a/b/f", "w").write("1")
        shutil.copytree("/data/a", "/tmp/a"); shutil.copy("/tmp/a/b/f", "/root"); shutil.move("/tmp/a", "/tmp/z")
        assert open("/root/f").read() == open("/tmp/z/b/f").read() == "1"
        assert shutil.make_archive("/root/archive", "gztar", "/data") == "/root/archive.tar.gz"
        shutil.unpack_archive("/root/archive.tar.gz", "/workspace"); assert os.path.exists("/workspace/a/b/f")
        shutil.rmtree("/tmp/z"); assert os.listdir("/tmp") == []
        assert shutil.disk_usage("/root").total and shutil.which("ls").endswith("/ls")
    """,
    "tempfile": """
        import os, tempfile
        assert tempfile.gettempdir() == "/tmp"
        with tempfile.NamedTemporaryFile() as file:
            assert file.name.startswith("/tmp/") and os.path.exists(file.name)
        with tempfile.TemporaryDirectory() as directory:
            open(directory + "/f", "w").close(); assert directory.startswith("/tmp/")
        with tempfile.TemporaryFile() as file:
            file.write(b"1")
        os.close(tempfile.mkstemp(dir="/data")[0]); assert len(os.listdir("/data")) == 1
        assert os.listdir("/tmp") == []
    """,
    "glob": """
        import glob, os
        os.makedirs("/data/a"); open("/data/a/x.csv", "w").close(); open("/data/y.csv", "w").close()
        assert sorted(glob.glob("/data/**/*.csv", recursive=True)) == ["/data/a/x.csv", "/data/y.csv"]
        assert list(glob.iglob("/dat[a]/*/x*")) == ["/data/a/x.csv"]
        assert glob.glob("*.csv", root_dir="/data") == ["y.csv"]
    """,
    "sqlite3": """
        import os, sqlite3
        for name in ("/data/x.db", "relative.db", ":memory:"):
            base = sqlite3.connect(name); base.execute("create table t (a)"); base.commit(); base.close()
        assert os.path.exists("/data/x.db") and os.path.exists("/root/relative.db") and not os.path.exists("/:memory:")
        base = sqlite3.connect(database="file:/data/x.db?mode=ro", uri=True)
        assert base.execute("select count(*) from t").fetchone() == (0,)
    """,
    "archives": """
        import gzip, tarfile, zipfile
        with zipfile.ZipFile("/root/z.zip", "w") as file: file.writestr("inside.txt", "1")
        with zipfile.ZipFile("/root/z.zip") as file: file.extractall("/data/z")
        with gzip.open("/root/g.gz", "wt") as file: file.write("2")
        with tarfile.open("/root/t.tar", "w") as file: file.add("/data/z", arcname="t")
        with tarfile.open("/root/t.tar") as file: assert sorted(file.getnames()) == ["t", "t/inside.txt"]
        assert open("/data/z/inside.txt").read() == "1" and gzip.open("/root/g.gz", "rt").read() == "2"
    """,
    "json, pickle, csv, shelve and logging": """
        import csv, json, logging, pickle, shelve
        with open("/data/x.json", "w") as file: json.dump({"a": 1}, file)
        with open("/data/x.pkl", "wb") as file: pickle.dump({"a": 1}, file)
        assert json.load(open("/data/x.json")) == pickle.load(open("/data/x.pkl", "rb"))
        with open("/data/x.csv", "w", newline="") as file: csv.writer(file).writerow([1, 2])
        with shelve.open("/data/shelf") as shelf: shelf["a"] = 1
        with shelve.open("/data/shelf") as shelf: assert shelf["a"] == 1
        logging.basicConfig(filename="/root/log"); logging.warning("seen"); assert "seen" in open("/root/log").read()
    """,
    "modules are imported from the sandbox": """
        import os, sys
        os.makedirs("/root/package/inner"); open("/root/package/__init__.py", "w").close()
        open("/root/package/inner/__init__.py", "w").write("place = __file__")
        open("/data/single.py", "w").write("place = __file__")
        sys.path[:0] = ["", "/data"]
        import package.inner, single
        assert package.inner.place == "/root/package/inner/__init__.py" and single.place == "/data/single.py"
        import runpy; assert runpy.run_path("/data/single.py")["place"] == "/data/single.py"
        import importlib.util as util
        spec = util.spec_from_file_location("other", "/data/single.py"); module = util.module_from_spec(spec)
        spec.loader.exec_module(module); assert module.place == "/data/single.py"
        import inspect; assert inspect.getsource(single).strip() == "place = __file__"
    """,
    "an extension module is imported from the sandbox": """
        import shutil, sys, _ctypes
        if not getattr(_ctypes, "__file__", None):
            print("SKIP: this Python's extension modules are built in"); sys.exit()
        name = _ctypes.__file__.rpartition("/")[2]
        shutil.copy(_ctypes.__file__, "/data/" + name); del sys.modules["_ctypes"]
        sys.path.insert(0, "/data"); import _ctypes
        assert _ctypes.__file__ == "/data/" + name
    """,
    "a library is loaded from the sandbox": """
        import _ctypes, ctypes, shutil, sys
        if not getattr(_ctypes, "__file__", None):
            print("SKIP: this Python's extension modules are built in"); sys.exit()
        shutil.copy(_ctypes.__file__, "/data/own.so")
        assert ctypes.CDLL("/data/own.so").PyInit__ctypes
    """,
    "functions that were there before": """
        import inspect, os, pickle
        assert pickle.loads(pickle.dumps((os.stat, open, os.getcwd))) == (os.stat, open, os.getcwd)
        assert "follow_symlinks" in str(inspect.signature(os.stat)) and os.stat.__name__ == "stat"
        class Keeper:
            read = open
        open("/root/a", "w").write("1"); assert Keeper().read("/root/a").read() == "1"
        for wrong in (lambda: open(None), lambda: os.stat(1.5), lambda: os.mkdir("/root/\\0")):
            try: wrong()
            except (TypeError, ValueError): pass
            else: raise AssertionError
    """,
    "a Unix socket": """
        import os, socket
        server, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        try: server.bind("/tmp/s")
        except OSError as error:
            print(f"SKIP: {error}"); raise SystemExit  # AF_UNIX takes some 100 characters
        server.listen(); client.connect("/tmp/s"); assert os.path.exists("/tmp/s")
    """,
    "shared memory's directory is the sandbox's": """
        import os
        open("/dev/shm/block", "w").close()
        assert os.listdir("/dev/shm") == os.listdir("/run/shm") == ["block"]
    """,
    "the system is the host's": """
        import os, ssl
        assert open("/etc/passwd").read() and os.path.exists("/usr/bin/env") and open("/proc/self/stat").read()
        open("/dev/null", "w").write("x")
    """,
    "asyncio runs programs and Unix servers": """
        import asyncio
        async def main():
            process = await asyncio.create_subprocess_exec("cat", "/root/a", stdout=asyncio.subprocess.PIPE)
            assert (await process.communicate())[0] == b"1"
        open("/root/a", "w").write("1"); asyncio.run(main())
    """,
    "multiprocessing": """
        import multiprocessing, os
        def work(): open("/data/child", "w").write(os.getcwd())
        process = multiprocessing.get_context("fork").Process(target=work); process.start(); process.join()
        assert open("/data/child").read() == "/root"
    """,
}


def in_sandbox(sandbox: Sandbox, code: str) -> None:
    said = sandbox.python(textwrap.dedent(code))
    if said.startswith("SKIP: "):
        pytest.skip(said)
    assert said == ""


@pytest.mark.parametrize("name", SCENARIOS)
def test_python_sees_only_the_sandbox(sandbox: Sandbox, name: str) -> None:
    in_sandbox(sandbox, SCENARIOS[name])


def test_files_lie_below_the_sandboxs_directory(sandbox: Sandbox) -> None:
    sandbox.python("open('/anything.txt', 'w').write('1'); import os; os.makedirs('/made/up')")
    assert sandbox.file("/anything.txt").read_text() == "1"
    assert sandbox.file("/made/up").is_dir()


def test_a_name_with_spaces_and_quotes_is_a_directory_like_others(sandbox_in_a_named_place: Sandbox) -> None:
    said = sandbox_in_a_named_place.python(
        "import subprocess\n"
        "open('/root/a b', 'w').write('1')\n"
        "subprocess.run(['cat', '/root/a b'])\n"
        "subprocess.run('cat \"/root/a b\" /root/a*; echo $HOME', shell=True)\n"
    )
    assert said == "111/root\n"


def test_tracebacks_name_the_sandboxs_files_and_not_the_mapping(sandbox: Sandbox) -> None:
    sandbox.file("/root/broken.py").write_text("def fail():\n    open('/root/none')\n")
    said = sandbox.bash(
        "python3 -c 'import sys; sys.path.insert(0, \"/root\"); import broken; broken.fail()'"
    )
    assert 'File "/root/broken.py", line 2, in fail' in said
    assert "portable" not in said
    assert said.endswith("FileNotFoundError: [Errno 2] No such file or directory: '/root/none'\n")


def test_chained_tracebacks_do_not_show_the_mapping_either(sandbox: Sandbox) -> None:
    said = sandbox.python(
        "try: open('/root/none')\nexcept OSError as error: raise ValueError('so') from error"
    )
    assert "FileNotFoundError: [Errno 2] No such file or directory: '/root/none'" in said
    assert "portable_calls" not in said


def test_a_forked_process_goes_on_in_another_directory(sandbox: Sandbox) -> None:
    sandbox.file("/data/deep").mkdir()
    sandbox.file("/root/a").write_text("first")
    sandbox.file("/root/link").symlink_to(sandbox.file("/root/a"))
    copy = sandbox.root.removesuffix("sandbox") + "copy"
    shutil.copytree(sandbox.root, copy, symlinks=True)

    said = sandbox.python(
        textwrap.dedent(
            f"""
            import os, subprocess, sys
            os.chdir("/data/deep"); sys.path.insert(0, "/root")
            former = subprocess.check_output("pwd", text=True).strip()  # a path of the host's, kept
            child = os.fork()
            if child == 0:
                mapping.move({copy!r})
                target = os.readlink("/root/link"); os.unlink("/root/link"); os.symlink(target, "/root/link")
                print(os.getcwd(), open("/root/a").read(), os.readlink("/root/link"), flush=True)
                open("/root/a", "w").write("second"); open(former + "/new", "w").close()
                open("/root/module.py", "w").write("place = __file__")
                import module
                print(module.place, open("/root/link").read(), os.listdir(), flush=True)
                subprocess.run("cat /root/a; echo; pwd", shell=True)
                sys.stdout.flush(); os._exit(0)
            os.waitpid(child, 0)
            print(open("/root/a").read(), os.listdir(), os.path.exists("/root/module.py"))
            """
        )
    )
    assert said.replace(copy, "").splitlines() == [
        "/data/deep first /root/a",
        "/root/module.py second ['new']",
        "second",
        "/data/deep",
        "first [] False",
    ]
