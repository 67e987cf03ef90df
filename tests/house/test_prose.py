"""Pages and source read like plain English: the project's own list of phrases, and proselint's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ..matrix import SLOW
from . import prose


@pytest.mark.parametrize("phrase", prose.PHRASES, ids=lambda phrase: phrase.pattern)
def test_each_phrase_is_found(phrase: prose.Phrase) -> None:
    [complaint] = prose.complaints(phrase.bad, page=True)
    assert complaint.endswith(f"write {phrase.instead!r}")


def test_what_a_page_quotes_is_no_prose_of_ours() -> None:
    assert prose.complaints("It says `none can be had`:\n```\nof its own\n```\n", page=True) == []


@SLOW
def test_the_pages_and_the_source_that_users_read_have_none() -> None:
    files = prose.files()
    assert len(files) > 100
    assert prose.found_in(files) == []


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("A sandbox can be forked.\n", 0),
        ("Its state is very unique.\n", 1),
        ("At this point in time it waits.\n", 1),
    ],
)
def test_proselint_finds_what_it_is_for(text: str, status: int, tmp_path: Path) -> None:
    pytest.importorskip("proselint")
    page = tmp_path / "page.md"
    page.write_text(text)
    settings = str(prose.TOP / ".proselintrc.json")
    command = [sys.executable, "-m", "proselint", "--config", settings, "check", str(page)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == status
