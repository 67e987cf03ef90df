"""The guests' code is compiled once, so that nobody inside has to do it at every start."""

from __future__ import annotations

import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from podflare_emulator.hosting.machine.bytecode import compile_directory


@pytest.fixture(autouse=True)
def writes_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


def test_it_is_compiled_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    source = tmp_path / "package" / "module.py"
    source.parent.mkdir()
    source.write_text("x = 1\n")
    compiled = Path(cache_from_source(str(source)))
    compile_directory(str(tmp_path))
    first = compiled.stat().st_ino
    compile_directory(str(tmp_path))
    assert compiled.stat().st_ino == first
    source.write_text("x = 1 + 1\n")
    before = compiled.read_bytes()
    compile_directory(str(tmp_path))
    assert compiled.read_bytes() != before


def test_where_python_writes_no_bytecode_this_does_not_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "module.py").touch()
    compile_directory(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["module.py"]


def test_a_file_that_does_not_compile_or_may_not_be_written_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = (\n")
    (tmp_path / "module.py").touch()
    (tmp_path / "__pycache__").touch()  # and so no directory can be made
    compile_directory(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["__pycache__", "broken.py", "module.py"]
