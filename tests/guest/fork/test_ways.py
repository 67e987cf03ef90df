"""How the children of a fork come by its files, as far as what was written decides."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from podflare_emulator.guest.files import base
from podflare_emulator.guest.fork import ways


@dataclass
class Stack:
    depth: int = 0


@dataclass
class Jail:
    changes: int
    stack: Stack


@pytest.fixture
def way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    layer = os.open(tmp_path, os.O_RDONLY)
    monkeypatch.setattr(base, "SHARED_MEMORY", "/dev/shm")
    yield lambda files="auto", **jail: ways.choose(cast("Any", Jail(layer, Stack(**jail))), files, alone=True)
    os.close(layer)


def write(place: Path, count: int, size: int = 1) -> None:
    for number in range(count):
        (place / f"deep{number % 7}").mkdir(exist_ok=True)
        (place / f"deep{number % 7}" / str(number)).write_bytes(bytes(size))


@pytest.mark.parametrize(
    ("count", "size", "expected"), [(300, 1, "copy"), (301, 1, "freeze"), (5, 4 << 20, "freeze")]
)
def test_a_layer_is_frozen_when_it_holds_much(
    tmp_path: Path, way: Any, count: int, size: int, expected: str
) -> None:
    write(tmp_path, count, size)
    assert (way(), way("layers"), way("copy")) == (expected, "freeze", "copy")


def test_one_whose_files_have_several_names_is_not(tmp_path: Path, way: Any) -> None:
    write(tmp_path, 301)
    os.link(tmp_path / "deep0/0", tmp_path / "deep1/other")
    assert (way(), way("layers"), way(depth=1)) == ("copy", "copy", "share")


def test_nor_one_in_which_a_symbolic_link_has(tmp_path: Path, way: Any) -> None:
    os.symlink("nowhere", tmp_path / "link")
    os.link(tmp_path / "link", tmp_path / "other", follow_symlinks=False)
    assert way("layers") == "copy"


@pytest.mark.skipif(
    os.geteuid() != 0, reason="root alone makes devices, which overlays mark removed names with"
)
def test_names_that_were_removed_are_no_file(tmp_path: Path, way: Any) -> None:
    os.mknod(tmp_path / "removed", 0o20000, os.makedev(0, 0))
    os.link(tmp_path / "removed", tmp_path / "removed too")
    assert way("layers") == "freeze"
    os.link(tmp_path / "removed", tmp_path / "and this")
    write(tmp_path, 301)
    os.link(tmp_path / "deep0/0", tmp_path / "deep6/other")
    assert way() == "copy"
