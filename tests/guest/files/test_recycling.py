"""A copy of the base tree that was used is made one again, or it is said that it was not."""

from __future__ import annotations

import mmap
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from podflare_emulator.guest.files import recycling, tree

from .baselines import settled


@pytest.fixture
def base(tmp_path: Path) -> Path:
    root = tmp_path / "base"
    (root / "root" / "deep").mkdir(parents=True)
    (root / "root" / "file").write_text("as it was")
    (root / "root" / "link").symlink_to("file")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    for directory in (root / "root" / "deep", root / "root", root / "tmp", root):
        os.utime(directory, ns=(1, 1))
    return root


@pytest.fixture
def used(base: Path, tmp_path: Path) -> Path:
    tree.copy(str(base), str(tmp_path / "used"))
    return tmp_path / "used"


def restored(base: Path, used: Path, baseline: int) -> bool:
    descriptors = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (base, used.parent)]
    try:
        return recycling.restore(*descriptors, used.name, baseline)
    finally:
        for number in descriptors:
            os.close(number)


def described(root: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in (root, *root.rglob("*")):
        status = path.lstat()
        content = path.read_text() if path.is_file() else ""
        found[str(path.relative_to(root))] = (status.st_mode, status.st_uid, status.st_mtime_ns, content)
    return found


def inodes(root: Path) -> set[int]:
    return {path.lstat().st_ino for path in (root, *root.rglob("*"))}


def nothing(used: Path) -> None:
    pass


def leave_files(used: Path) -> None:
    (used / "root" / "new").write_text("new")
    (used / "tmp" / "dangling").symlink_to("/nowhere")
    os.mkfifo(used / "fifo")


def touch_directories(used: Path) -> None:
    (used / "root").chmod(0o700)
    os.utime(used / "tmp")
    (used / "root" / "deep" / "x").touch()
    (used / "root" / "deep" / "x").unlink()


@pytest.mark.parametrize("use", [nothing, leave_files, touch_directories])
def test_few_traces_are_taken_away(base: Path, used: Path, use: Callable[[Path], None]) -> None:
    before = inodes(used)
    baseline = settled(used)
    use(used)
    assert restored(base, used, baseline)
    assert described(used) == described(base)
    assert inodes(used) == before


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's attributes")
def test_an_attribute_of_a_directory_that_was_made_read_only_is_taken_away(base: Path, used: Path) -> None:
    baseline = settled(used)
    os.setxattr(used / "tmp", "user.left", b"x")
    (used / "tmp").chmod(0o555)
    assert restored(base, used, baseline)
    assert os.listxattr(used / "tmp") == []
    assert described(used) == described(base)


@pytest.mark.parametrize("safe", [True, False], ids=["seen", "not seen"])
def test_where_a_write_through_a_mapping_is_not_seen_nothing_is_used_again(
    tmp_path: Path, safe: bool
) -> None:
    if not safe and not any(line.split()[1:3] == ["/dev/shm", "tmpfs"] for line in mounts()):
        pytest.skip("there is no tmpfs to try")
    with tempfile.TemporaryDirectory(dir=tmp_path if safe else "/dev/shm") as directory:
        if safe and not seen(Path(directory)):
            pytest.skip("the temp directory is on a file system that does not stamp it")
        assert recycling.is_safe(directory) == safe
        assert os.listdir(directory) == []


def mounts() -> list[str]:
    return Path("/proc/mounts").read_text().splitlines() if sys.platform == "linux" else []


def seen(directory: Path) -> bool:
    """Whether a write through a mapping changes the stamp, and there is a /proc."""
    path = directory / "file"
    path.write_bytes(b"before")
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        _ = mapped[0]
        baseline = settled(directory)
        mapped[0] = ord("B")
    stamp = path.stat().st_ctime_ns
    path.unlink()
    return stamp > baseline and bool(mounts())


def change(used: Path) -> None:
    (used / "root" / "file").write_text("changed")


def change_and_hide_it(used: Path) -> None:
    status = (used / "root" / "file").stat()
    (used / "root" / "file").write_text("as it wos")
    os.utime(used / "root" / "file", ns=(status.st_atime_ns, status.st_mtime_ns))


def change_a_mode(used: Path) -> None:
    (used / "root" / "file").chmod(0o777)


def remove(used: Path) -> None:
    (used / "root" / "link").unlink()


def replace_a_link(used: Path) -> None:
    remove(used)
    (used / "root" / "link").symlink_to("/etc/passwd")


def replace_a_directory_by_a_link(used: Path) -> None:
    (used / "root" / "deep").rmdir()
    (used / "root" / "deep").symlink_to(used.parent / "elsewhere")


def hold_a_file_twice(used: Path) -> None:
    (used / "tmp" / "again").hardlink_to(used / "root" / "file")


def leave_a_directory(used: Path) -> None:
    (used / "root" / "new" / "deeper").mkdir(parents=True)


def leave_many_files(used: Path) -> None:
    for number in range(100):
        (used / "tmp" / str(number)).touch()


@pytest.mark.parametrize(
    "use",
    [
        change,
        change_and_hide_it,
        change_a_mode,
        remove,
        replace_a_link,
        replace_a_directory_by_a_link,
        hold_a_file_twice,
        leave_a_directory,
        leave_many_files,
    ],
)
def test_what_is_not_worth_it_or_cannot_be_told_is_left_to_be_removed(
    base: Path, used: Path, use: Callable[[Path], None]
) -> None:
    elsewhere = used.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    baseline = settled(used)
    use(used)
    assert not restored(base, used, baseline)
    assert [path.name for path in elsewhere.iterdir()] == ["file"]
    assert stat.S_ISREG((base / "root" / "file").lstat().st_mode)
    assert (base / "root" / "file").read_text() == "as it was"


@pytest.mark.skipif(os.getuid() == 0, reason="root may look anywhere")
def test_where_it_may_not_look_it_says_so(base: Path, used: Path) -> None:
    baseline = settled(used)
    (used / "root").chmod(0)
    with pytest.raises(PermissionError):
        restored(base, used, baseline)
    (used / "root").chmod(0o700)
