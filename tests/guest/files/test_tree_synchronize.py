"""A tree made equal to another: what a fork's copy of the sandbox's directory keeps."""

from __future__ import annotations

import errno
import os
import posix
import random
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from podflare_emulator.guest.files import removal, tree

from ...matrix import SLOW
from .baselines import settled

ROOT = os.geteuid() == 0


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    yield from directory(tmp_path, "source")


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    yield from directory(tmp_path, "target")


def directory(parent: Path, name: str) -> Iterator[Path]:
    (parent / name).mkdir()
    yield parent / name
    with opened(parent) as fd:
        removal.remove(fd, name)  # pytest gives up on directories without write permission


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def synchronize(
    source: Path,
    target: Path,
    *,
    skip: tuple[str, ...] = (),
    untouched_since: int | None = None,
    changes: Path | None = None,
) -> list[str]:
    with opened(source) as here, opened(target) as there, opened(changes or source) as changed:
        return tree.synchronize(
            here,
            there,
            skip=skip,
            untouched_since=untouched_since,
            changes=changed if changes else None,
        )


def described(root: Path) -> dict[bytes, tuple[object, ...]]:
    """Everything that a user can see of a tree, but for inode numbers and the times nobody can set."""
    found: dict[bytes, tuple[object, ...]] = {}
    names: dict[int, list[bytes]] = {}
    paths = [os.fsencode(root)]
    for path in paths:
        status = os.lstat(path)
        content: object = None
        if stat.S_ISDIR(status.st_mode):
            paths += [os.path.join(path, name) for name in sorted(os.listdir(path))]
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:
                content = file.read()
        name = path[len(os.fsencode(root)) :]
        owner = (status.st_uid, status.st_gid)
        found[name] = (oct(status.st_mode), owner, status.st_mtime_ns, content)
        if not stat.S_ISDIR(status.st_mode):
            names.setdefault(status.st_ino, []).append(name)
    return {
        name: (*rest, same) for same in names.values() for name, rest in found.items() if name in same
    } | {name: rest for name, rest in found.items() if stat.S_ISDIR(int(str(rest[0]), 8))}


def test_copies_everything_that_can_be_seen(source: Path, target: Path) -> None:
    (source / "program").write_bytes(b"#!/bin/sh\n")
    (source / "program").chmod(0o4755)
    (source / "large").write_bytes(os.urandom(300_000))
    (source / "read-only").write_text("x")
    (source / "read-only").chmod(0o444)
    (source / "empty").touch()
    (source / "a" / "b").mkdir(parents=True)
    (source / "a").chmod(0o2550 if ROOT else 0o550)
    (source / "dangling").symlink_to("/no/where")
    os.utime(source / "dangling", ns=(1, 1_234_567_891), follow_symlinks=False)
    os.link(source / "large", source / "again")
    os.link(source / "dangling", source / "dangling too", follow_symlinks=False)
    os.mkfifo(source / "fifo", 0o622)
    (source / "line\nbreak").write_text("odd")
    Path(os.fsdecode(os.fsencode(source) + b"/\xff\xfe")).write_text("not UTF-8")
    for number, name in enumerate(["program", "a/b", "a", "large", "fifo", "."]):
        os.utime(source / name, ns=(0, 1_000_000_000_000_000_000 + number))

    assert synchronize(source, target) == []

    assert described(target) == described(source)
    assert (target / "large").stat().st_nlink == 2


def grow(root: Path, chance: random.Random) -> None:
    """A random tree of every kind of entry, modes and times."""
    directories = [root]
    files: list[Path] = []
    for _ in range(chance.randrange(40)):
        raw = bytes(chance.choice(b"ab\n \xff'\xc3\xa9") for _ in range(chance.randrange(1, 4)))
        path = chance.choice(directories) / os.fsdecode(raw)
        if os.path.lexists(path):
            continue
        kind = chance.choice(["directory", "file", "file", "symlink", "link", "fifo"])
        if kind == "directory":
            path.mkdir()
            directories.append(path)
        elif kind == "file":
            path.write_bytes(chance.randbytes(chance.choice([0, 10, 5_000, 200_000])))
            files.append(path)
        elif kind == "symlink":
            path.symlink_to(chance.choice(["a", "..", "/", "none"]))
        elif kind == "fifo":
            os.mkfifo(path)
        elif files:
            os.link(chance.choice(files), path)
    for path in files:
        path.chmod(chance.choice([0o644, 0o600, 0o755, 0o444]))
    for path in reversed(directories):
        path.chmod(chance.choice([0o755, 0o700, 0o555, 0o1777]))
    for path in files + directories:
        os.utime(path, ns=(chance.randrange(10**18), chance.randrange(10**18)))


@pytest.mark.parametrize("seed", range(25))
def test_any_tree_becomes_equal_to_any_other(source: Path, target: Path, seed: int) -> None:
    chance = random.Random(seed)
    grow(source, chance)
    grow(target, chance)

    assert synchronize(source, target) == []

    assert described(target) == described(source)


@pytest.mark.parametrize("seed", range(10))
def test_several_trees_become_equal_to_another_at_once(source: Path, target: Path, seed: int) -> None:
    (source / "large").write_bytes(os.urandom(200_000))
    grow(source, random.Random(seed))
    grow(target, random.Random(-seed))
    with opened(target.parent) as parent:
        try:
            tree.copy(str(target), str(target.parent / "second"))
            with opened(source) as here, opened(target) as first, opened(target.parent / "second") as second:
                assert tree.synchronize(here, first, second) == []
            assert described(target) == described(target.parent / "second") == described(source)
        finally:
            removal.remove(parent, "second")


def test_links_lead_elsewhere_in_each_copy(source: Path, target: Path) -> None:
    (source / "away").symlink_to("/elsewhere")
    (target.parent / "second").mkdir()
    with opened(source) as here, opened(target) as first, opened(target.parent / "second") as second:
        tree.synchronize(here, first, second, resolve=lambda path, index: f"{path}/{index}")
    assert os.readlink(target / "away") == "/elsewhere/0"
    assert os.readlink(target.parent / "second" / "away") == "/elsewhere/1"


def test_links_lead_where_they_are_told_to(source: Path, target: Path) -> None:
    (source / "away").symlink_to(source / "file")
    (source / "near").symlink_to("file")
    with opened(source) as here, opened(target) as there:
        tree.synchronize(here, there, resolve=lambda path, _: path.replace(str(source), str(target)))
    assert os.readlink(target / "away") == str(target / "file")
    assert os.readlink(target / "near") == "file"


def test_holes_stay_holes(source: Path, target: Path) -> None:
    with open(source / "sparse", "wb") as file:
        file.seek(3 << 20)
        file.write(b"middle")
        file.truncate(8 << 20)
    if (source / "sparse").stat().st_blocks * 512 >= 8 << 20:
        pytest.skip("this file system has no sparse files")

    synchronize(source, target)

    assert described(target) == described(source)
    assert (target / "sparse").stat().st_blocks * 512 < 1 << 20


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="extended attributes need Linux")
def test_extended_attributes_come_along(source: Path, target: Path) -> None:
    (source / "file").write_text("x")
    (source / "directory").mkdir()
    (target / "directory").mkdir()
    try:
        os.setxattr(source / "file", "user.note", b"1")
        os.setxattr(source / "directory", "user.note", b"2")
        os.setxattr(target / "directory", "user.stale", b"3")
    except OSError:
        pytest.skip("this file system has no user attributes")
    (source / "file").chmod(0o400)

    synchronize(source, target)

    assert os.getxattr(target / "file", "user.note") == b"1"
    assert os.listxattr(target / "directory") == ["user.note"]


def test_sockets_are_left_out(source: Path, target: Path) -> None:
    os.mknod(source / "socket", stat.S_IFSOCK | 0o600)
    os.mknod(source / "was a file", stat.S_IFSOCK | 0o600)
    (target / "was a file").touch()

    assert synchronize(source, target) == []

    assert os.listdir(target) == []


def test_skipped_paths_are_neither_copied_nor_removed(source: Path, target: Path) -> None:
    for name in ("proc", "dev/shm", "dev/pts", "proc2"):
        (source / name).mkdir(parents=True)
        (source / name / "source").touch()
    (target / "dev" / "shm").mkdir(parents=True)
    (target / "dev" / "shm" / "target").touch()
    (target / "run" / "lock").mkdir(parents=True)

    synchronize(source, target, skip=("proc", "dev/shm", "run/lock"))

    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*")) == [
        "dev",
        "dev/pts",
        "dev/pts/source",
        "dev/shm",
        "dev/shm/target",
        "proc2",
        "proc2/source",
        "run",
        "run/lock",
    ]


def test_entries_of_another_type_are_replaced_and_symlinks_never_followed(
    source: Path, target: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    (source / "directory").mkdir()
    (source / "directory" / "precious").write_text("copied")
    (source / "file").write_text("copied")
    (source / "link").symlink_to("file")
    (target / "directory").symlink_to(outside)
    (target / "file").symlink_to(outside / "precious")
    (target / "link").mkdir(mode=0o500)
    (target / "extra").symlink_to(outside)

    synchronize(source, target)

    assert described(target) == described(source)
    assert (outside / "precious").read_text() == "kept"


@pytest.mark.skipif(not ROOT, reason="needs root, as inside a namespace")
def test_a_file_that_nobody_may_read_is_copied_by_root(source: Path, target: Path) -> None:
    (source / "secret").write_text("x")
    (source / "secret").chmod(0)
    (source / "closed").mkdir()
    (source / "closed" / "file").touch()
    (source / "closed").chmod(0)

    assert synchronize(source, target) == []

    assert described(target) == described(source)


@pytest.mark.skipif(ROOT, reason="root may read everything")
def test_what_a_user_may_not_read_is_reported(source: Path, target: Path) -> None:
    (source / "secret").write_text("x")
    (source / "secret").chmod(0)
    (source / "closed").mkdir(mode=0)
    (source / "open").write_text("x")

    assert sorted(synchronize(source, target)) == ["closed: Permission denied", "secret: Permission denied"]

    assert os.listdir(target) == ["open"]


def test_untouched_files_are_not_copied_again(source: Path, target: Path) -> None:
    for root in (source, target):
        (root / "a" / "b").mkdir(parents=True)
        (root / "a" / "untouched").write_text(root.name)
        (root / "a" / "b" / "written").write_text("before")
        (root / "a" / "b" / "removed").write_text("before")
    since = settled(source, target)
    (source / "a" / "b" / "written").write_text("after")
    (source / "a" / "b" / "removed").unlink()
    (source / "new").mkdir()
    (source / "new" / "file").write_text("after")

    synchronize(source, target, untouched_since=since)

    assert (target / "a" / "untouched").read_text() == "target"
    (target / "a" / "untouched").write_text("source")
    os.utime(target / "a" / "untouched", ns=(0, (source / "a" / "untouched").stat().st_mtime_ns))
    os.utime(source / "a", ns=(0, 5))
    os.utime(target / "a", ns=(0, 5))
    assert described(target) == described(source)


def test_every_change_after_the_baseline_is_seen(source: Path, target: Path) -> None:
    (source / "file").write_text("before")
    synchronize(source, target)
    for number in range(50):
        since = tree.now() - 10_000_000  # the change that follows may be stamped with a time that far behind
        (source / "file").write_text(f"after {number}")

        synchronize(source, target, untouched_since=since)

        assert (target / "file").read_text() == f"after {number}"


def alter_by_moving_a_directory(root: Path) -> None:
    (root / "a").rename(root / "c")


def alter_by_swapping_directories(root: Path) -> None:
    (root / "a").rename(root / "c")
    (root / "b").rename(root / "a")
    (root / "c").rename(root / "b")


def alter_by_swapping_nested_directories(root: Path) -> None:
    (root / "a" / "deep").rename(root / "c")
    (root / "b" / "deep").rename(root / "a" / "deep")
    (root / "c").rename(root / "b" / "deep")


def alter_by_linking_untouched_to_new_names(root: Path) -> None:
    (root / "b").rename(root / "0")  # its files keep their ctime, and share inodes with those of a
    (root / "c").mkdir()
    os.link(root / "a" / "file", root / "c" / "file")


def alter_by_breaking_a_link(root: Path) -> None:
    (root / "b" / "shared").unlink()
    (root / "b" / "shared").write_text("its own")


def alter_by_writing_through_a_link(root: Path) -> None:
    (root / "a" / "shared").write_text("both")


def alter_by_chmod(root: Path) -> None:
    (root / "a" / "file").chmod(0o640)
    (root / "b").chmod(0o500)


@pytest.mark.parametrize(
    "alter",
    [
        alter_by_moving_a_directory,
        alter_by_swapping_directories,
        alter_by_swapping_nested_directories,
        alter_by_linking_untouched_to_new_names,
        alter_by_breaking_a_link,
        alter_by_writing_through_a_link,
        alter_by_chmod,
    ],
)
def test_files_that_are_older_than_the_baseline_still_follow_their_directories_and_links(
    source: Path, target: Path, alter: Callable[[Path], None]
) -> None:
    for name in ("a", "b"):
        (source / name / "deep").mkdir(parents=True)
        (source / name / "file").write_text(name)
        (source / name / "deep" / "file").write_text(name)
    (source / "a" / "shared").write_text("shared")
    os.link(source / "a" / "shared", source / "b" / "shared")
    synchronize(source, target)
    since = settled(source, target)
    alter(source)

    assert synchronize(source, target, untouched_since=since) == []

    assert described(target) == described(source)


def test_a_directory_that_is_open_only_for_the_copy_gets_its_mode_back(source: Path, target: Path) -> None:
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "b" / "file").write_text("before")
    (source / "a").chmod(0o555)
    synchronize(source, target)
    since = settled(source, target)
    (source / "a" / "b" / "file").write_text("after")

    synchronize(source, target, untouched_since=since)

    assert described(target) == described(source)


_DEEP = 2_000  # levels: more than paths, descriptors and the recursion of Python allow


@SLOW
def test_trees_deeper_than_any_limit(source: Path, target: Path) -> None:
    name = "n" * 100
    fd = os.open(source, os.O_RDONLY)
    for level in range(_DEEP):
        os.mkdir(name, dir_fd=fd)
        os.mkdir("before", dir_fd=fd)
        deeper = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = deeper
        file = os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
        os.write(file, str(level).encode())
        os.close(file)
    os.link("file", "again", src_dir_fd=fd, dst_dir_fd=fd)
    os.close(fd)
    # In a process of its own: in this one, an emulator's thread may want descriptors at the same time.
    script = """if True:
        import os, resource, sys
        from podflare_emulator.guest.files.tree import synchronize
        source, target = (os.open(path, os.O_RDONLY) for path in sys.argv[1:])
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
        assert synchronize(source, target) == []
    """
    subprocess.run([sys.executable, "-c", script, str(source), str(target)], check=True)

    fd = os.open(target, os.O_RDONLY)
    for level in range(_DEEP):
        assert sorted(os.listdir(fd)) == sorted({name, "before", *(["file"] if level else [])})
        deeper = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = deeper
    assert sorted(os.listdir(fd)) == ["again", "file"]
    assert os.stat("file", dir_fd=fd).st_ino == os.stat("again", dir_fd=fd).st_ino
    os.close(fd)


def replace_by_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_a_symlink(path: Path) -> None:
    path.unlink()
    path.symlink_to("other")


@pytest.mark.parametrize(
    "change", [Path.unlink, replace_by_a_directory, replace_by_a_fifo, replace_by_a_symlink]
)
def test_a_file_that_goes_away_during_the_copy_is_left_out(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    (source / "volatile").write_text("x")
    (source / "other").write_text("x")
    (target / "volatile").write_text("old")
    before_opening(monkeypatch, "volatile", lambda: change(source / "volatile"))

    assert synchronize(source, target) == []

    assert os.listdir(target) == ["other"]


def test_a_file_that_is_replaced_or_cut_short_during_the_copy_comes_over_whole(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "volatile").write_text("old")

    def replace() -> None:
        (source / "new").write_text("new and longer")
        (source / "new").rename(source / "volatile")

    before_opening(monkeypatch, "volatile", replace)

    synchronize(source, target)

    assert (target / "volatile").read_text() == "new and longer"


def test_a_file_that_shrinks_while_it_is_read_is_copied_as_far_as_it_goes(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tree.read_small

    def shrink(reader: int, status: os.stat_result) -> bytes | None:
        os.truncate(source / "log", 10)
        return real(reader, status)

    monkeypatch.setattr(tree, "read_small", shrink)
    for size in (50_000, 500_000):
        (source / "log").write_bytes(b"x" * size)
        assert synchronize(source, target) == []
        assert (target / "log").read_bytes() == b"x" * 10


def test_a_directory_that_goes_away_during_the_copy_is_left_out(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "volatile" / "deep").mkdir(parents=True)
    (source / "other").write_text("x")
    before_opening(monkeypatch, "volatile", lambda: (source / "volatile").rename(source.parent / "moved out"))

    assert synchronize(source, target) == []

    assert os.listdir(target) == ["other"]


def before_opening(monkeypatch: pytest.MonkeyPatch, name: str, happen: Callable[[], object]) -> None:
    """Let something happen right before the copy opens an entry that it has listed."""
    real = posix.open
    pending = [happen]

    def open_later(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == name and pending:
            pending.pop()()
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(posix, "open", open_later)


def test_what_cannot_be_written_raises_with_its_path(source: Path, target: Path) -> None:
    (source / "a").mkdir()
    (source / "a" / "huge").write_bytes(b"x" * 100_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match="a/huge") as caught:
            synchronize(source, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == "a/huge"


def test_neither_descriptor_is_moved_nor_any_left_open(source: Path, target: Path) -> None:
    (source / "a" / "b").mkdir(parents=True)
    (source / "file").touch()
    before = os.listdir("/dev/fd")
    with opened(source) as here, opened(target) as there:
        offset = os.lseek(here, 2, os.SEEK_SET)  # as another process that lists the same descriptor may
        tree.synchronize(here, there)
        assert os.lseek(here, 0, os.SEEK_CUR) == offset
    assert described(target) == described(source)
    assert os.listdir("/dev/fd") == before


@pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="O_PATH needs Linux")
def test_descriptors_may_be_bare_paths(source: Path, target: Path) -> None:
    (source / "file").write_text("x")
    here, there = (os.open(path, os.O_PATH) for path in (source, target))

    tree.synchronize(here, there)

    os.close(here)
    os.close(there)
    assert described(target) == described(source)


def test_only_what_has_an_entry_among_the_changes_is_looked_at(
    source: Path, target: Path, tmp_path: Path
) -> None:
    for name in ("kept/deep", "changed/deep", "emptied"):
        (source / name).mkdir(parents=True)
        (source / name / "file").write_text("before")
    assert synchronize(source, target) == []
    since = tree.now() - 10_000_000
    changes = tmp_path / "changes"
    (changes / "changed/deep").mkdir(parents=True)
    for entry in ("changed/deep/file", "changed/deep/new", "emptied"):  # of whatever kind
        (changes / entry).touch()
    for name in ("kept/deep", "changed/deep"):
        (source / name / "file").write_text("after")
    (source / "changed/deep/new").write_text("new")
    (source / "emptied/file").unlink()
    assert synchronize(source, target, untouched_since=since, changes=changes) == []
    assert (target / "kept/deep/file").read_text() == "before"
    assert [(target / "changed/deep" / name).read_text() for name in ("file", "new")] == ["after", "new"]
    assert list((target / "emptied").iterdir()) == []


def test_without_changes_nothing_is_looked_at(source: Path, target: Path, tmp_path: Path) -> None:
    (source / "file").touch()
    (tmp_path / "changes").mkdir()
    assert synchronize(source, target, changes=tmp_path / "changes") == []
    assert list(target.iterdir()) == []
    source.chmod(0o710)
    assert synchronize(source, target, changes=tmp_path / "changes") == []
    assert stat.S_IMODE(target.stat().st_mode) == 0o710
