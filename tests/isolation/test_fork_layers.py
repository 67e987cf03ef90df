"""Forks whose files are layers that parent and children share, and what is copied all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from podflare import APIStatusError, Client, ForkWarning, Sandbox
from podflare_emulator import Emulator, EmulatorError

from ..matrix import SLOW
from ..serving import serving

# How many layers the sandbox's tree shares; a new one has only what all start with.
_DEPTH = """
def depth():
    with open("/proc/self/mountinfo") as file:
        (root,) = [line for line in file if line.split()[4] == "/"]
    return root.count("/upper") - 1
"""
_TREE = """
import os
os.makedirs("/root/tree/deep")
for number in range({count}):
    with open(f"/root/tree/{{number}}.txt", "w") as file:
        file.write(str(number))
"""


@pytest.fixture(scope="module")
def layers() -> Iterator[Client]:
    with serving("namespace", fork_files="layers") as emulator, Client(host=emulator.url) as client:
        yield client


@pytest.fixture(scope="module")
def auto() -> Iterator[Client]:
    with serving("namespace") as emulator, Client(host=emulator.url) as client:
        if Sandbox(client=client).run_code(_DEPTH + "print(depth())").stdout != "0":
            pytest.skip("this kernel stacks no file systems in a user namespace")
        yield client


def run(sandbox: Sandbox, code: str, language: str = "python") -> str:
    result = sandbox.run_code(code, language)
    assert (result.exit_code, result.stderr) == (0, ""), result
    return result.stdout


def begin(client: Client, code: str = "") -> Sandbox:
    sandbox = Sandbox(client=client)
    run(sandbox, _DEPTH + code)
    return sandbox


def depths(*sandboxes: Sandbox) -> list[int]:
    return [int(run(sandbox, "print(depth())")) for sandbox in sandboxes]


@SLOW
def test_parent_and_children_share_what_was_there_and_nothing_else(layers: Client) -> None:
    parent = begin(layers, _TREE.format(count=3) + "os.remove('/etc/hostname'); os.rmdir('/srv')")
    left, right = parent.fork(2)
    assert depths(parent, left, right) == [1, 1, 1]
    run(parent, "open('/root/tree/0.txt', 'w').write('parent'); os.remove('/root/tree/1.txt')")
    run(left, "cat > /root/tree/0.txt <<< left; rm -r /root/tree/deep; mkdir /srv", "bash")
    looks = "print([open(f'/root/tree/{n}.txt').read() for n in range(3) if os.path.exists(f'/root/tree/{n}.txt')]"
    looks += ", os.path.exists('/root/tree/deep'), os.path.exists('/srv'), os.path.exists('/etc/hostname'))"
    assert run(parent, looks) == "['parent', '2'] True False False"
    assert run(left, looks) == "['left\\n', '1', '2'] False True False"
    assert run(right, looks) == "['0', '1', '2'] True False False"
    assert right.diff(left, paths=["/root"])["modified"] == ["/root/tree/0.txt"]
    parent.merge_into(left)
    assert run(parent, "print(open('/root/tree/0.txt').read().strip())") == "left"


def test_nobody_keeps_the_trees_that_the_parent_has_left(layers: Client) -> None:
    parent = begin(layers, _TREE.format(count=3))
    count = "def count(): return [len(os.listdir(f'/proc/{process}/fd')) for process in (1, 'self')]\n"
    run(
        parent, count + "before = count()"
    )  # process 1 is the family's init, which lets go of them after the fork
    children = []
    for number in range(3):
        run(parent, f"open('/root/{number}', 'w').close()")
        children += parent.fork(2)
    assert depths(parent, children[-1]) == [3, 3]
    for sandbox in (parent, children[-1]):
        run(sandbox, "import time\nwhile count() != before: time.sleep(0.01)")


def test_what_the_parent_holds_open_goes_on(layers: Client) -> None:
    code = """
import fcntl, mmap, os, sqlite3, tempfile
log, reader = open('/root/log', 'a+'), open('/root/log')
log.write('one\\n'); log.flush(); reader.readline()
unlinked = tempfile.TemporaryFile(); unlinked.write(b'nameless'); unlinked.flush()
open('/root/mapped', 'wb').write(bytes(4096))
mapped = mmap.mmap(os.open('/root/mapped', os.O_RDWR), 4096)
shown = mmap.mmap(os.open('/root/mapped', os.O_RDONLY), 4096, prot=mmap.PROT_READ)
database = sqlite3.connect('/root/db'); database.execute('pragma journal_mode=wal')
database.execute('create table t (x)'); database.execute('insert into t values (1)'); database.commit()
open_transaction = database.execute('insert into t values (2)')
locked = open('/root/locked', 'w'); fcntl.flock(locked, fcntl.LOCK_EX)
fcntl.lockf(log, fcntl.LOCK_EX, 10, 5)
os.makedirs('/root/here'); os.chdir('/root/here')
"""
    parent = begin(layers, code)
    (child,) = parent.fork(1)
    assert depths(parent, child) == [1, 1]
    looks = """
log.write('{0}\\n'); log.flush(); print(reader.read().split(), end=' ')
unlinked.seek(0); print(unlinked.read().decode(), end=' '); unlinked.write(b'+')
mapped[:4] = b'{0}'[:4]; print(bytes(shown[:4]), open('/root/mapped', 'rb').read(4), end=' ')
database.execute('insert into t values (?)', ('{0}',)); database.commit()
with sqlite3.connect('/root/db') as other: print(other.execute('select x from t').fetchall(), end=' ')
print(os.getcwd(), os.fstat(log.fileno()).st_ino == os.stat('/root/log').st_ino, end=' ')
print(os.system('flock -n /root/locked true') != 0, open('/proc/self/fdinfo/%d' % log.fileno()).read().count('lock:'))
"""
    for sandbox, name in ((parent, "first"), (child, "other")):
        assert run(sandbox, looks.format(name)) == (
            f"['{name}'] nameless b'{name[:4]}' b'{name[:4]}' [(1,), (2,), ('{name}',)] /root/here True True 1"
        )


def test_a_directory_of_a_shared_layer_can_be_renamed(layers: Client) -> None:
    parent = begin(layers, _TREE.format(count=2) + "open('/root/tree/deep/x', 'w').write('x')")
    (child,) = parent.fork(1)
    code = """
import pathlib, shutil
os.chmod('/root/tree', 0o750); was = os.stat('/root/tree'); held = open('/root/tree/0.txt', 'a')
os.rename('/root/tree', '/root/moved')
held.write('+'); held.flush()
print(sorted(os.listdir('/root')), open('/root/moved/0.txt').read(), open('/root/moved/deep/x').read(), end=' ')
now = os.stat('/root/moved')
print((was.st_mode, was.st_mtime_ns) == (now.st_mode, now.st_mtime_ns), end=' ')
os.mkdir('/root/full'); open('/root/full/x', 'w').close(); os.mkdir('/root/empty')
"""
    assert run(child, code) == "['moved'] 0+ x True "
    (grandchild,) = child.fork(1)
    code = """
open('/root/file', 'w').close()
for target in ('/root/full', '/root/moved/deep/in', '/root/file', '/dev/shm/moved'):
    try:
        os.rename('/root/moved', target)
    except OSError as error:
        print(error.errno, end=' ')
print(sorted(os.listdir('/root/moved')), end=' ')
os.replace('/root/moved', '/root/empty')
place = os.open('/root/empty', os.O_RDONLY)
os.rename('deep', '../deep', src_dir_fd=place, dst_dir_fd=place)
pathlib.Path('/root/deep').rename('/root/named')
shutil.move('/root/named', '/root/full')
import inspect, pickle
assert pickle.loads(pickle.dumps(os.rename)) is os.rename and os.rename in os.supports_dir_fd
assert str(inspect.signature(os.rename)) == '(src, dst, *, src_dir_fd=None, dst_dir_fd=None)'
print(sorted(os.listdir('/root')), os.listdir('/root/full/named'), sorted(os.listdir('/root/empty')))
"""
    assert run(grandchild, code) == (
        "39 22 20 18 ['0.txt', '1.txt', 'deep'] ['empty', 'file', 'full'] ['x'] ['0.txt', '1.txt']"
    )
    listed = run(child, "mv /root/moved /root/by-mv && ls /root /root/by-mv | xargs", "bash")
    assert listed == "/root: by-mv empty full /root/by-mv: 0.txt 1.txt deep"


@SLOW
def test_a_layer_that_is_little_is_copied_by_auto(auto: Client) -> None:
    few = begin(auto, _TREE.format(count=10))
    many = begin(auto, _TREE.format(count=400))
    large = begin(auto, "open('/root/large', 'wb').write(bytes(20 << 20))")
    assert depths(*few.fork(1), *many.fork(1), *large.fork(1), few, many, large) == [0, 1, 1, 0, 1, 1]
    run(many, "open('/root/tree/1.txt', 'w').write('later'); os.remove('/root/tree/2.txt')")
    (child,) = many.fork(1)  # over the same layer, with a copy of what came after it
    assert depths(many, child) == [1, 1]
    looks = "print(open('/root/tree/1.txt').read(), os.path.exists('/root/tree/2.txt'), len(os.listdir('/root/tree')))"
    assert run(child, looks) == run(many, looks) == "later False 400"


_THREAD = (
    "import threading; stop = threading.Event(); threading.Thread(target=stop.wait, daemon=True).start()"
)
_PROCESS = "import subprocess; child = subprocess.Popen(['sleep', '1000'])"


@pytest.mark.parametrize(
    "reason",
    [
        pytest.param(_THREAD, id="a thread"),
        pytest.param(_PROCESS, id="a process"),
        pytest.param("os.link('/root/tree/1.txt', '/root/other')", id="a hard link"),
        pytest.param("os.rmdir('/run/shm')", id="no shared memory"),
        pytest.param(
            "import ctypes; watch = ctypes.CDLL(None).inotify_init1(0);"
            "ctypes.CDLL(None).inotify_add_watch(watch, b'/root', 0xfff)",
            id="inotify",
        ),
        pytest.param("os.mkfifo('/root/fifo'); fifo = os.open('/root/fifo', os.O_RDWR)", id="a fifo"),
        pytest.param(
            "import socket; served = socket.socket(socket.AF_UNIX); served.bind('/root/socket'); served.listen()",
            id="a socket with a name",
        ),
        pytest.param("listing = os.scandir('/root/tree'); next(listing)", id="a listing"),
    ],
)
@pytest.mark.filterwarnings("ignore::podflare.ForkWarning")
def test_what_could_not_go_on_over_another_layer_has_the_files_copied(auto: Client, reason: str) -> None:
    parent = begin(auto, _TREE.format(count=400))
    run(parent, reason)
    (child,) = parent.fork(1)
    assert depths(parent, child) == [0, 0]
    run(child, "open('/root/tree/1.txt', 'a').write('+')")
    assert run(child, "print(open('/root/tree/1.txt').read(), len(os.listdir('/root/tree')))") == "1+ 401"
    assert run(parent, "print(open('/root/tree/1.txt').read())") == "1"
    parent.close(), child.close()


def test_who_cannot_leave_a_layer_still_shares_those_below(auto: Client) -> None:
    parent = begin(auto, _TREE.format(count=400))
    (first,) = parent.fork(1)
    run(first, f"{_THREAD}\nfor n in range(400): open(f'/root/tree/more{{n}}', 'w').close()")
    with pytest.warns(ForkWarning):
        (second,) = first.fork(1)
    assert depths(first, second) == [1, 1]
    assert run(second, "print(len(os.listdir('/root/tree')))") == "801"


def test_removed_files_have_an_inode_in_common_which_is_no_hard_link(auto: Client) -> None:
    parent = begin(auto, _TREE.format(count=400))
    (child,) = parent.fork(1)
    run(child, "for n in range(350): os.remove(f'/root/tree/{n}.txt')")
    (grandchild,) = child.fork(1)
    assert depths(child, grandchild) == [2, 2]
    assert run(grandchild, "print(len(os.listdir('/root/tree')))") == "51"


@SLOW
def test_copies_when_told_to() -> None:
    with serving("namespace", fork_files="copy") as emulator, Client(host=emulator.url) as client:
        parent = begin(client, _TREE.format(count=400))
        (child,) = parent.fork(1)
        assert depths(parent, child) == [0, 0]
        assert run(child, "print(len(os.listdir('/root/tree')))") == "401"


@SLOW
def test_sandboxes_fork_by_layers_on_disk_too() -> None:
    serving_on_disk = serving("namespace", fork_files="layers", files_on_disk=True)
    with serving_on_disk as emulator, Client(host=emulator.url) as client:
        parent = begin(client, _TREE.format(count=4))
        (child,) = parent.fork(1)
        (grandchild,) = child.fork(1)
        assert depths(parent, child, grandchild) == [1, 1, 1]
        run(grandchild, "os.rename('/root/tree', '/root/moved')")
        assert json.loads(
            run(grandchild, "import json; print(json.dumps(sorted(os.listdir('/root/moved'))))")
        ) == [
            *(f"{number}.txt" for number in range(4)),
            "deep",
        ]


@pytest.mark.parametrize("isolation", ["preload", "portable"])
def test_layers_are_refused_where_there_are_none(isolation: str) -> None:
    with pytest.raises(EmulatorError, match=f"fork files: {isolation} isolation has no layers"):
        Emulator(isolation=isolation, fork_files="layers").start()


def test_a_parent_that_cannot_move_stays_where_it_is(layers: Client) -> None:
    parent = begin(layers, "held = open('/root/large', 'w+b'); held.write(bytes(3_000_000)); held.flush()")
    run(parent, "import resource as r; hard = r.getrlimit(r.RLIMIT_FSIZE)[1]")
    run(parent, "r.setrlimit(r.RLIMIT_FSIZE, (2_000_000, hard))")
    with pytest.raises(APIStatusError, match="File too large"):
        parent.fork(2)
    run(parent, "r.setrlimit(r.RLIMIT_FSIZE, (hard, hard)); held.write(b'+'); held.flush()")
    assert depths(parent) == [0]
    (child,) = parent.fork(1)
    assert depths(parent, child) == [1, 1]
    for sandbox in (parent, child):
        run(sandbox, "held.write(b'+'); held.flush()")
        assert run(sandbox, "print(open('/root/large', 'rb').read()[3_000_000:])") == "b'++'"


@SLOW
def test_what_is_mapped_for_reading_since_the_fork_does_not_show_what_is_written_then(layers: Client) -> None:
    """A difference, in docs/fidelity.md: the first write makes a copy. Who reads through a descriptor sees it."""
    parent = begin(layers, "open('/root/log', 'w').write('before')")
    (child,) = parent.fork(1)
    run(child, "import mmap; reader = open('/root/log', 'rb')")
    run(child, "shown = mmap.mmap(reader.fileno(), 0, prot=mmap.PROT_READ)")
    run(child, "with open('/root/log', 'r+') as file: file.write('later!')")
    assert run(child, "print(shown[:], reader.read())") == "b'before' b'later!'"
