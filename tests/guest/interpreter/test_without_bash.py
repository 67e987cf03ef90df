"""A machine, or the tree of a `rootfs`, without bash."""

from __future__ import annotations

from pathlib import Path

import pytest

from podflare_emulator.guest.interpreter import bash


def test_an_exec_says_what_is_missing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bash.run("true", {"PATH": f"{tmp_path}:/no/such/directory"}, "/", lambda: False) == 127
    said = capfd.readouterr().err
    assert f"bash is not installed: it is in none of {tmp_path}:/no/such/directory" in said


def test_a_bash_that_is_there_is_not_missed(tmp_path: Path) -> None:
    (tmp_path / "bash").touch(mode=0o755)
    assert bash.not_found(f"/no/such/directory:{tmp_path}") == ""
