"""A warden that begins before its server: it is used, or it ends and leaves nothing."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from podflare_emulator import Emulator, EmulatorError
from podflare_emulator.handle.server.beginning import begin
from podflare_emulator.hosting.machine.interpreter import find
from podflare_emulator.hosting.warden import Config, Warden
from podflare_emulator.vocabulary.settings import Settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def is_held() -> tuple[list[str], set[psutil.Process]]:
    return sorted(os.listdir("/proc/self/fd")), set(psutil.Process().children())


def test_one_that_cannot_start_leaves_nothing(temporary: Path) -> None:
    before = is_held()
    python = find(None)._replace(executable=f"{temporary}/none")
    with pytest.raises(FileNotFoundError):
        Warden(Config("portable", python))
    assert is_held() == before
    assert not [*temporary.iterdir()]


def test_one_that_nobody_uses_leaves_nothing(temporary: Path) -> None:
    before = is_held()
    warden = Warden(Config("portable", find(None)))
    assert [path.name for path in temporary.iterdir()] == [Path(warden.state).name]
    warden.close()
    assert is_held() == before
    assert not [*temporary.iterdir()]


@pytest.mark.parametrize(
    "settings", [{"rootfs": "/usr"}, {"isolation": "portable"}, {"python": "/bin/false"}]
)
def test_none_begins_that_may_not_be_used(settings: dict[str, Any], temporary: Path) -> None:
    assert begin(Settings(**settings), sys.path) is None
    assert not [*temporary.iterdir()]


def test_a_server_that_cannot_listen_leaves_nothing(temporary: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        before = is_held()
        with pytest.raises(EmulatorError, match="cannot listen"):
            Emulator(port=taken.getsockname()[1]).start()
        assert is_held() == before
    assert not [*temporary.iterdir()]
