"""The documents' code blocks are the files of this directory, and the files run."""

from __future__ import annotations

import io
import re
import runpy
from contextlib import redirect_stdout
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_DOCUMENTS = sorted([*_ROOT.glob("*.md"), *_ROOT.glob("docs/**/*.md"), *_ROOT.glob("podflare/*.md")])
_BLOCK = re.compile(r"(?:<!-- (?P<file>\S+) -->\n)?```python\n(?P<code>.*?)```\n", re.DOTALL)
_PROGRAMS = sorted(path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_"))
_SAYS = re.compile(r"print\(.*\)  # (.+)")


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: str(path.relative_to(_ROOT)))
def test_every_python_block_is_an_example_that_runs(document: Path) -> None:
    for block in _BLOCK.finditer(document.read_text(encoding="utf-8")):
        assert block["file"], f"no '<!-- tests/examples/NAME.py -->' before this block:\n{block['code']}"
        assert block["file"].startswith("tests/examples/")
        assert block["code"] == (_ROOT / block["file"]).read_text(encoding="utf-8")


@pytest.mark.parametrize("program", _PROGRAMS, ids=lambda path: path.name)
def test_program_prints_what_its_comments_say(program: Path, podflare_emulator: object) -> None:
    said = io.StringIO()
    with redirect_stdout(said):
        runpy.run_path(str(program), run_name="__main__")
    expected = _SAYS.findall(program.read_text(encoding="utf-8"))
    printed = said.getvalue().splitlines()
    assert [line for line in expected if line not in printed] == []
