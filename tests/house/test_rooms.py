"""The house stays as it was drawn: which room may import which (pyproject.toml), and how full a room may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = [
    ROOT / name for name in ("podflare_emulator", "pytest_plugin/pytest_podflare", "podflare/src/podflare")
]
MOST_ENTRIES = 14


def rooms() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (path.parent for path in package.rglob("__init__.py"))


def test_imports_point_one_way() -> None:
    pytest.importorskip("importlinter")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as run; run()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("room", list(rooms()), ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_is_described_and_not_a_warehouse(room: Path) -> None:
    assert ast.get_docstring(ast.parse((room / "__init__.py").read_text()))
    entries = [path.name for path in room.iterdir() if not path.name.startswith(("__", "."))]
    assert len(entries) <= MOST_ENTRIES, entries


def test_every_folder_with_code_is_a_room() -> None:
    for package in PACKAGES:
        for path in package.rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), path


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module)


def test_the_guest_imports_the_standard_library_and_itself() -> None:
    for path in (ROOT / "podflare_emulator" / "guest").rglob("*.py"):
        foreign = (
            {name.partition(".")[0] for name in imported(path)} - sys.stdlib_module_names - {"_podflare_jail"}
        )
        assert not foreign, path


def test_the_vocabulary_imports_no_other_room() -> None:
    for path in (ROOT / "podflare_emulator" / "vocabulary").glob("*.py"):
        ours = {name for name in imported(path) if name.startswith("podflare_emulator")}
        assert all(name.startswith("podflare_emulator.vocabulary") for name in ours), path
