"""A system that comes as a tar file: what is taken from it, and what is refused."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.machine.unpacking import system


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where trees are unpacked: below it nothing may be left."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def archive(path: Path, *members: tuple[str, bytes, str]) -> str:
    """Of members: a name, the kind, and text or a link's target."""
    with tarfile.open(path, "w") as tar:
        for name, kind, text in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            member.mode = 0o755 if kind == tarfile.DIRTYPE else 0o4755
            member.uid, member.gid = os.getuid(), os.getgid()
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.linkname = text
            member.size = len(text) if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(text.encode()))
    return str(path)


FILE, LINK, SECOND, DIRECTORY = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
TREE = (
    ("usr/lib", DIRECTORY, ""),
    ("lib", LINK, "usr/lib"),
    ("lib/file", FILE, "text"),
    ("/usr/second", SECOND, "./usr/lib/file"),
    ("dev/sda", tarfile.BLKTYPE, ""),
    ("pipe", tarfile.FIFOTYPE, ""),
    ("closed", DIRECTORY, ""),
)


def test_files_links_and_modes_are_there_and_devices_are_not(tmp_path: Path, temporary: Path) -> None:
    with system(archive(tmp_path / "a.tar", *TREE), "test-") as place:
        tree = Path(place)
        assert (tree / "usr/lib/file").read_text() == (tree / "usr/second").read_text() == "text"
        assert (tree / "usr/lib/file").stat().st_mode & 0o7777 == 0o4755
        assert sorted(path.name for path in tree.iterdir()) == ["closed", "lib", "usr"]
        (tree / "closed").chmod(0o555)
        (tree / "usr").chmod(0)
    assert not [*temporary.iterdir()]


@pytest.mark.parametrize(
    "members",
    [
        [("out", LINK, "OUTSIDE"), ("out/file", FILE, "written")],
        [("file", LINK, "OUTSIDE/file"), ("file", FILE, "written")],
        [("../../outside/file", FILE, "written")],
        [("out", LINK, "../../../outside"), ("second", SECOND, "out/file"), ("second", FILE, "written")],
        [("out", LINK, "OUTSIDE"), ("out", DIRECTORY, "")],
    ],
)
def test_nothing_outside_is_touched(tmp_path: Path, members: Sequence[tuple[str, bytes, str]]) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    (outside / "file").write_text("kept")
    named = [(name, kind, text.replace("OUTSIDE", str(outside))) for name, kind, text in members]
    with contextlib.suppress(HostingError), system(archive(tmp_path / "a.tar", *named), "test-"):
        pass
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_text() == "kept"
    assert outside.stat().st_mode & 0o777 == 0o700


def test_images_in_layers_and_what_is_no_archive_are_refused(tmp_path: Path, temporary: Path) -> None:
    nothing = tmp_path / "nothing.tar"
    nothing.write_text("nothing of the kind")
    for path, words in (
        (archive(tmp_path / "saved.tar", ("manifest.json", FILE, "[]")), "docker export"),
        (archive(tmp_path / "oci.tar", ("./oci-layout", FILE, "{}")), "docker export"),
        (str(nothing), "nothing.tar cannot be unpacked"),
    ):
        with pytest.raises(HostingError, match=words), system(path, "test-"):
            pass
    assert not [*temporary.iterdir()]


def test_one_that_zstd_has_packed(tmp_path: Path) -> None:
    if not shutil.which("zstd"):
        pytest.skip("zstd is not installed")
    subprocess.run(["zstd", "-q", archive(tmp_path / "a.tar", *TREE)], check=True)
    with system(str(tmp_path / "a.tar.zst"), "test-") as place:
        assert Path(place, "usr/lib/file").read_text() == "text"
