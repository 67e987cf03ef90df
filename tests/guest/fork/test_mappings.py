"""Which memory mappings a fork would leave shared, as either kernel interface tells them."""

from __future__ import annotations

import errno
import mmap
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from podflare_emulator.guest.fork import mappings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")


def _no_queries(maps: int) -> Iterator[mappings.Mapping]:
    raise OSError(errno.ENOTTY, "as before Linux 6.11")


@pytest.fixture(params=["asked", "read"])
def interface(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "read":
        monkeypatch.setattr(mappings, "_asked_for", _no_queries)


@pytest.mark.usefixtures("interface")
def test_shared_mappings_of_the_tree_are_found(tmp_path: Path) -> None:
    place = tmp_path / "two\nlines"
    place.write_bytes(bytes(3 * mmap.PAGESIZE))
    with place.open("r+b") as file:
        writable = mmap.mmap(file.fileno(), mmap.PAGESIZE, offset=mmap.PAGESIZE)
        private = mmap.mmap(file.fileno(), mmap.PAGESIZE, flags=mmap.MAP_PRIVATE)
        readable = mmap.mmap(file.fileno(), mmap.PAGESIZE, prot=mmap.PROT_READ)
    with writable, private, readable:
        found = [region for region in mappings.record(str(tmp_path)) if region.path == str(place)]
    assert sorted((region.offset, region.length, region.protection) for region in found) == [
        (0, mmap.PAGESIZE, mmap.PROT_READ),
        (mmap.PAGESIZE, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE),
    ]
    assert all(region.has_name for region in found)


@pytest.mark.usefixtures("interface")
def test_shared_memory_without_a_name_is_found(tmp_path: Path) -> None:
    with mmap.mmap(-1, 5 * mmap.PAGESIZE):
        found = mappings.record(str(tmp_path))
    assert 5 * mmap.PAGESIZE in [region.length for region in found if not region.has_name]


def test_both_interfaces_tell_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with mmap.mmap(-1, mmap.PAGESIZE):
        asked = mappings.record(str(tmp_path))
        monkeypatch.setattr(mappings, "_asked_for", _no_queries)
        assert mappings.record(str(tmp_path)) == asked
