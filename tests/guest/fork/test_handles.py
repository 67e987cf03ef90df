"""Open file handles across a live fork, each scenario in an interpreter of its own: pytest itself never forks.

A scenario has a parent's tree at `root`. `fork(tell)` copies it to `new_root` and runs the rest of the program
in a child whose handles have been opened again there; the child is asked through `tell`, and what it returns
comes back as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from podflare_emulator import guest

PRELUDE = """
import fcntl, json, mmap, os, socket, stat, sys, tempfile
sys.path.insert(0, {code!r})
from podflare_emulator.guest.fork import handles
from podflare_emulator.guest.files import tree

root, new_root = {root!r}, {new_root!r}
os.mkdir(root)
os.mkdir(new_root)
messages = []

def path(name, base=root):
    return base + "/" + name

def contents(name, base):
    with open(path(name, base)) as file:
        return file.read()

def resolve(path):
    inside = path == root or path.startswith(root + "/")
    return new_root + path[len(root):] if inside else path

def fork(tell):
    record = handles.record(root, ignore={{0, 1, 2}})
    answer, answering = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            source, target = (os.open(r, os.O_RDONLY) for r in (root, new_root))
            assert tree.synchronize(source, target) == []
            os.close(source)
            os.close(target)
            messages.extend(record.reopen(resolve=resolve))
            said = tell()
        except BaseException as error:
            said = repr(error)
        os.write(answering, json.dumps(said).encode())
        os._exit(0)
    os.close(answering)
    with open(answer) as pipe:
        said = json.load(pipe)
    os.waitpid(child, 0)
    return said

def say(*values):
    print(json.dumps(values))
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Any:
    def run(code: str) -> Any:
        prelude = PRELUDE.format(
            code=str(Path(next(iter(guest.__path__))).parents[1]),
            root=str(tmp_path / "parent"),
            new_root=str(tmp_path / "child"),
        )
        done = subprocess.run(
            [sys.executable, "-I", "-c", prelude + textwrap.dedent(code)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_a_handle_keeps_its_offset_and_writes_to_the_childs_own_file(scenario: Any) -> None:
    assert scenario("""
        log = open(path("log"), "w+")
        log.write("before;")
        log.flush()
        def child():
            log.write("child;")
            log.flush()
            log.seek(0)
            return log.read()
        seen = fork(child)
        log.write("parent;")
        log.flush()
        say(seen, contents("log", root), contents("log", new_root))
    """) == ["before;child;", "before;parent;", "before;child;"]


def test_what_was_buffered_is_written_by_each_to_its_own_file(scenario: Any) -> None:
    assert scenario("""
        log = open(path("log"), "w")
        log.write("buffered;")
        fork(log.flush)
        log.close()
        say(contents("log", root), contents("log", new_root))
    """) == ["buffered;", "buffered;"]


def test_reading_goes_on_where_the_parent_was(scenario: Any) -> None:
    assert scenario("""
        with open(path("lines"), "w") as file:
            file.writelines(f"{n}\\n" for n in range(10_000))
        lines = open(path("lines"))
        first = [next(lines) for _ in range(3)]
        seen = fork(lambda: sum(1 for _ in lines))
        say(seen, sum(1 for _ in lines))
    """) == [9_997, 9_997]


def test_flags_and_inheritance_are_kept_but_nothing_is_truncated(scenario: Any) -> None:
    assert scenario("""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        appending = os.open(path("a"), flags)
        os.write(appending, b"kept;")
        inherited = os.open(path("b"), os.O_RDWR | os.O_CREAT | os.O_EXCL)
        os.set_inheritable(inherited, True)
        before = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (appending, inherited)]
        def child():
            after = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (appending, inherited)]
            os.lseek(appending, 0, os.SEEK_SET)
            os.write(appending, b"appended")
            return [after == before, os.get_inheritable(appending), os.get_inheritable(inherited)]
        say(fork(child), contents("a", root), contents("a", new_root))
    """) == [[True, False, True], "kept;", "kept;appended"]


FORBIDDEN = """
def forbid(*arguments):
    raise OSError(22, "Invalid argument")
real, real_library = fcntl.fcntl, handles.ctypes.CDLL
def without_query(fd, command, argument=0):
    return forbid() if command == 1027 else real(fd, command, argument)
class Library:
    def __init__(self, name): pass
    def syscall(self, *arguments): return -1
"""


@pytest.mark.parametrize(
    "means",
    [
        pytest.param("", id="the kernel's best"),
        pytest.param("handles.fcntl.fcntl = without_query", id="kcmp"),
        pytest.param("handles.fcntl.fcntl, handles.ctypes.CDLL = without_query, Library", id="probing"),
    ],
)
def test_duplicates_go_on_sharing_one_offset_and_others_do_not(scenario: Any, means: str) -> None:
    program = """
        with open(path("file"), "w") as file:
            file.write("0123456789")
        first = os.open(path("file"), os.O_RDONLY)
        second = os.dup(first)
        separate = os.open(path("file"), os.O_RDONLY)
        os.set_inheritable(second, True)
        def child():
            os.read(first, 4)
            kept = [os.get_inheritable(first), os.get_inheritable(second)]
            return [os.read(fd, 2).decode() for fd in (second, separate)] + kept
        say(fork(child), os.read(second, 1).decode(), os.read(separate, 1).decode())
    """
    assert scenario(FORBIDDEN + means + "\n" + textwrap.dedent(program)) == [
        ["45", "01", False, True],
        "0",
        "0",
    ]


@pytest.mark.parametrize("mode", ["r+b", "rb", "wb"])
def test_an_unlinked_file_is_copied(scenario: Any, mode: str) -> None:
    assert scenario(f"""
        with open(path("temporary"), "wb") as file:
            file.write(b"unlinked")
        file = open(path("temporary"), {mode!r}, buffering=0)
        if {mode!r} == "wb":
            file.write(b"unlinked")
        file.seek(2)
        os.unlink(path("temporary"))
        names = sorted(os.listdir(root))
        def child():
            writes = file.writable() and file.write(b"XX")
            status = os.fstat(file.fileno())
            reader = os.open(f"/dev/fd/{{file.fileno()}}", os.O_RDONLY)
            return [status.st_nlink, os.pread(reader, 99, 0).decode(), file.tell(), os.listdir(new_root) == names]
        seen = fork(child)
        reader = os.open(f"/dev/fd/{{file.fileno()}}", os.O_RDONLY)
        say(seen, os.pread(reader, 99, 0).decode(), file.tell())
    """) == [
        [0, "unlinked", 2, True] if mode == "rb" else [0, "unXXnked", 4, True],
        "unlinked",
        2,
    ]


def test_an_unlinked_file_whose_mode_forbids_reading_is_copied_through_its_descriptor(scenario: Any) -> None:
    assert scenario("""
        file = open(path("temporary"), "w+")
        file.write("secret")
        file.flush()
        os.chmod(path("temporary"), 0)
        os.unlink(path("temporary"))
        def child():
            file.seek(0)
            return [file.read(), oct(os.fstat(file.fileno()).st_mode & 0o777)]
        say(fork(child), file.tell())
    """) == [["secret", "0o0"], 6]


def test_a_temporary_file_of_the_standard_library_is_the_childs_own(scenario: Any) -> None:
    assert scenario("""
        file = tempfile.TemporaryFile("w+", dir=root)
        file.write("before;")
        file.flush()
        def child():
            file.write("child;")
            file.seek(0)
            return file.read()
        seen = fork(child)
        file.write("parent;")
        file.seek(0)
        say(seen, file.read())
    """) == ["before;child;", "before;parent;"]


def test_a_file_that_another_was_renamed_over_is_not_mistaken_for_it(scenario: Any) -> None:
    assert scenario("""
        with open(path("data"), "w") as file:
            file.write("old")
        old = open(path("data"), "r+")
        with open(path("new"), "w") as file:
            file.write("new")
        os.rename(path("new"), path("data"))
        def child():
            seen = old.read()
            old.write("er")
            old.flush()
            return seen
        say(fork(child), old.read(), contents("data", new_root), messages)
    """) == ["old", "old", "new", []]


def test_a_file_whose_name_looks_deleted_is_opened_by_its_name(scenario: Any) -> None:
    assert scenario("""
        file = open(path("log (deleted)"), "w")
        def child():
            file.write("child")
            file.flush()
        fork(child)
        say(contents("log (deleted)", new_root), contents("log (deleted)", root))
    """) == ["child", ""]


def test_names_that_are_not_text_are_no_obstacle(scenario: Any) -> None:
    assert scenario("""
        file = open(os.fsencode(root) + b"/\\xff\\n", "w")
        def child():
            file.write("child")
            file.flush()
        fork(child)
        with open(os.fsencode(new_root) + b"/\\xff\\n") as copy:
            say(copy.read())
    """) == ["child"]


def test_a_file_that_its_mode_forbids_to_open_again_is_opened_all_the_same(scenario: Any) -> None:
    assert scenario("""
        fd = os.open(path("object"), os.O_WRONLY | os.O_CREAT, 0o444)
        def child():
            os.write(fd, b"child")
            return oct(os.stat(path("object", new_root)).st_mode & 0o777)
        say(fork(child), contents("object", root), contents("object", new_root))
    """) == ["0o444", "", "child"]


def test_a_directory_handle_leads_into_the_childs_tree(scenario: Any) -> None:
    assert scenario("""
        os.makedirs(path("a"))
        os.makedirs(path("gone"))
        fds = [os.open(name, os.O_RDONLY) for name in (root, path("a"), path("gone"))]
        os.rmdir(path("gone"))
        def child():
            for fd in fds[:2]:
                os.close(os.open("made", os.O_CREAT, dir_fd=fd))
            return [os.listdir(fds[2]), os.fstat(fds[2]).st_nlink]
        say(fork(child), os.listdir(root), sorted(os.listdir(new_root)), os.listdir(path("a", new_root)))
    """)[1:] == [["a"], ["a", "made"], ["made"]]


@pytest.mark.skipif(not hasattr(__import__("os"), "O_PATH"), reason="O_PATH needs Linux")
def test_a_bare_path_handle_leads_into_the_childs_tree(scenario: Any) -> None:
    assert scenario("""
        os.mkdir(path("a"))
        fd = os.open(path("a"), os.O_PATH | os.O_DIRECTORY)
        fork(lambda: os.mkdir("made", dir_fd=fd))
        say(os.listdir(path("a")), os.listdir(path("a", new_root)))
    """) == [[], ["made"]]


@pytest.mark.skipif(not hasattr(__import__("os"), "memfd_create"), reason="memfd needs Linux")
def test_a_memory_file_is_copied_with_its_name_and_seals(scenario: Any) -> None:
    assert scenario("""
        fd = os.memfd_create("scratch", os.MFD_ALLOW_SEALING)
        os.write(fd, b"before;")
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        def child():
            os.write(fd, b"child;")
            name = os.readlink(f"/proc/self/fd/{fd}")
            return [name, fcntl.fcntl(fd, fcntl.F_GET_SEALS) == fcntl.F_SEAL_SHRINK, os.pread(fd, 99, 0).decode()]
        say(fork(child), os.pread(fd, 99, 0).decode())
    """) == [["/memfd:scratch (deleted)", True, "before;child;"], "before;"]


def test_files_outside_the_sandbox_are_not_opened_for_writing_again(scenario: Any) -> None:
    assert scenario("""
        outside = root + ".outside"  # begins with the root's path all the same
        writer = open(outside, "w")
        reader = open(outside)
        skipped = open(path("skipped"), "w+")
        record = handles.record(root, ignore=(), skip=[path("skipped")])
        say([[h.path == outside, list(h.numbers) == [reader.fileno()]] for h in record.handles])
    """) == [[[True, True]]]


def test_a_system_file_is_read_on_by_each_at_its_own_place(scenario: Any) -> None:
    assert scenario("""
        with open(root + ".system", "w") as file:
            file.write("0123456789")
        system = open(root + ".system", buffering=1)
        fd = system.fileno()
        os.read(fd, 3)
        say(fork(lambda: os.read(fd, 3).decode()), os.read(fd, 3).decode())
    """) == ["345", "345"]


def test_what_stays_shared_is_named(scenario: Any) -> None:
    found = scenario("""
        import select
        reader, writer = os.pipe()
        left, right = socket.socketpair()
        terminal = os.openpty()
        null = open("/dev/null")
        numbers = {reader: "reader", writer: "writer", left.fileno(): "left", terminal[1]: "terminal"}
        if hasattr(select, "epoll"):
            epoll = select.epoll()
            numbers[epoll.fileno()] = "poll"
        numbers[null.fileno()] = "null"
        say({numbers[fd]: kind for fd, kind in handles.record(root, ignore={0, 1, 2}).shared if fd in numbers})
    """)[0]
    assert found.pop("poll", "epoll") == "epoll"
    assert found == {"reader": "pipe", "writer": "pipe", "left": "socket", "terminal": "terminal"}


@pytest.mark.skipif(not hasattr(__import__("os"), "pidfd_open"), reason="pidfds need Linux")
def test_kernel_objects_that_look_like_files_are_shared_too(scenario: Any) -> None:
    assert scenario("""
        fds = [os.pidfd_open(os.getpid()), os.open("/proc/self/ns/mnt", os.O_RDONLY)]
        record = handles.record(root, ignore={0, 1, 2})
        say(record.handles, dict(record.shared).get(fds[0]), record.reopen())
    """) == [[], "pidfd", []]


def test_ignored_descriptors_are_not_touched(scenario: Any) -> None:
    assert scenario("""
        fd = os.open(path("own"), os.O_RDWR | os.O_CREAT)
        record = handles.record(root, ignore={0, 1, 2, fd})
        say(record.handles, record.shared)
    """) == [[], []]


def test_a_handle_that_cannot_be_opened_again_fails_visibly(scenario: Any) -> None:
    seen, parent = scenario("""
        file = open(path("lost"), "r+" if os.path.exists(path("lost")) else "w+")
        kept = open(path("kept"), "w")
        real = tree.synchronize
        def lose(source, target):
            problems = real(source, target)
            os.unlink("lost", dir_fd=target)
            return problems
        tree.synchronize = lose
        def child():
            errors = []
            for act in (lambda: os.write(file.fileno(), b"x"), lambda: os.read(file.fileno(), 1)):
                try:
                    act()
                except OSError as error:
                    errors.append(error.strerror)
            kept.write("child")
            kept.flush()
            return [messages, errors, file.fileno(), contents("kept", new_root)]
        say(fork(child), contents("lost", root))
    """)
    [message], errors, number, kept = seen
    assert "/parent/lost" in message
    assert "No such file or directory" in message
    assert str(number) in message
    assert errors == ["Bad file descriptor", "Bad file descriptor"]
    assert (kept, parent) == ("child", "")


def test_a_child_of_a_child_gets_handles_of_its_own(scenario: Any) -> None:
    assert scenario("""
        log = open(path("log"), "w+", buffering=1)
        log.write("a\\n")
        def child():
            global root, new_root
            log.write("b\\n")
            root, new_root = new_root, new_root + "ren"
            os.mkdir(new_root)
            grandchild = fork(lambda: [log.write("c\\n"), contents("log", new_root)][1])
            return [grandchild, contents("log", root)]
        say(fork(child), contents("log", root))
    """) == [["a\nb\nc\n", "a\nb\n"], "a\n"]


def test_no_descriptor_is_left_over(scenario: Any) -> None:
    before, after = scenario("""
        files = [open(path("a"), "w"), tempfile.TemporaryFile(dir=root)]
        files.append(os.dup(files[0].fileno()))
        before = len(os.listdir("/dev/fd")) + 2  # fork's own pipe
        say(before, fork(lambda: len(os.listdir("/dev/fd"))))
    """)
    assert after == before
