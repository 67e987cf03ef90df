"""A tree removed, whatever stands in the way."""

from __future__ import annotations

import errno
import os
import posix
from collections.abc import Iterator
from pathlib import Path

import pytest

from podflare_emulator.guest.files import removal

from ...matrix import SLOW


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_removes_a_tree_whatever_its_modes_and_names(tmp_path: Path, parent: int) -> None:
    for name in ("a/b/c", "a/line\nbreak", "a/empty", os.fsdecode(b"a/\xff")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch(mode=0)
    for name in ("a/b/c", "a/b", "a/empty", "a"):
        (tmp_path / name).chmod(0)

    removal.remove(parent, "a")

    assert os.listdir(tmp_path) == []


def test_removes_what_symlinks_are_not_what_they_point_to(tmp_path: Path, parent: int) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "kept").chmod(0o555)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")

    removal.remove(parent, "a")
    removal.remove(parent, "link")

    assert os.listdir(tmp_path) == ["kept"]
    assert os.listdir(tmp_path / "kept") == ["file"]
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o555
    (tmp_path / "kept").chmod(0o755)


def test_removes_a_file_and_accepts_that_there_is_none(tmp_path: Path, parent: int) -> None:
    (tmp_path / "file").touch()
    removal.remove(parent, "file")
    removal.remove(parent, "file")
    assert os.listdir(tmp_path) == []


@SLOW
def test_removes_trees_deeper_than_any_path(tmp_path: Path, parent: int) -> None:
    fd = os.dup(parent)
    for _ in range(1_500):
        os.mkdir("n" * 100, dir_fd=fd)
        deeper = os.open("n" * 100, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = deeper
        os.mkfifo("fifo", dir_fd=fd)
    os.close(fd)

    removal.remove(parent, "n" * 100)

    assert os.listdir(tmp_path) == []


@SLOW
def test_removes_wide_trees(tmp_path: Path, parent: int) -> None:
    for number in range(300):
        (tmp_path / "a" / str(number)).mkdir(parents=True)
        (tmp_path / "a" / str(number) / "file").touch()
    before = os.listdir("/dev/fd")

    removal.remove(parent, "a")

    assert os.listdir(tmp_path) == []
    assert os.listdir("/dev/fd") == before


def test_removes_what_appears_meanwhile(tmp_path: Path, parent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    late = iter(range(5))
    real = posix.rmdir

    def rmdir(path: str, *, dir_fd: int | None = None) -> None:
        if (number := next(late, None)) is not None and (tmp_path / "a" / "b").exists():
            (tmp_path / "a" / "b" / str(number)).mkdir()
            (tmp_path / "a" / str(number)).touch()
        real(path, dir_fd=dir_fd)

    monkeypatch.setattr(posix, "rmdir", rmdir)
    removal.remove(parent, "a")

    assert os.listdir(tmp_path) == []


def test_gives_up_on_a_directory_that_is_filled_for_ever(
    tmp_path: Path, parent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    real = posix.rmdir

    def rmdir(path: str, *, dir_fd: int | None = None) -> None:
        (tmp_path / "a" / "b" / "again").touch()
        real(path, dir_fd=dir_fd)

    monkeypatch.setattr(posix, "rmdir", rmdir)
    with pytest.raises(OSError, match="a/b") as caught:
        removal.remove(parent, "a")
    assert caught.value.errno == errno.ENOTEMPTY


def test_accepts_that_entries_vanish_meanwhile(
    tmp_path: Path, parent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/b/c", "a/d"):
        (tmp_path / name).mkdir(parents=True)
    real = posix.open

    def open_after_moving(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "b":
            (tmp_path / "a" / "b").rename(tmp_path / "moved out")
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(posix, "open", open_after_moving)
    removal.remove(parent, "a")

    assert os.listdir(tmp_path) == ["moved out"]
