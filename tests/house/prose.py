"""Phrases that sound translated, American spellings, and what to write instead: `prose.py [FILE...]`.

proselint finds common mistakes; these are ours. Without arguments: the pages, and the source that users read.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).parents[2]
PAGES = ("*.md", "docs/**/*.md", "podflare/*.md", ".github/**/*.md")
SOURCE = (
    "podflare/src/**/*.py",
    "pytest_plugin/**/*.py",
    "podflare_emulator/*.py",
    *(
        f"podflare_emulator/{room}/**/*.py"
        for room in ("api", "command", "control", "domain", "guest", "handle", "hosting", "mcp", "vocabulary")
    ),
)


class Phrase(NamedTuple):
    pattern: str
    instead: str
    bad: str  # a sentence that it must find


PHRASES = (
    Phrase(r"\bof (?:its|their|your|my|our|his|\w+['’]s) own\b", "its own ...", "It has a port of its own."),
    Phrase(r"\b(?:can|cannot|could|not|to) be had\b", "is available", "Where no port can be had, it waits."),
    Phrase(r"\b(?:is|are|was|were) not there\b", "does not exist, is missing", "The file is not there."),
    Phrase(r"\bany more\b", "no longer", "It does not run any more."),
    Phrase(
        r"\b(?:is|are|was|were|be) told\b(?! (?:to|apart)\b)",
        "gets, reports, says",
        "It is told by a header.",
    ),
    Phrase(r"\bgo(?:es)? wrong, or\b", "inject failures and delays", "What a test lets go wrong, or slowly."),
    Phrase(r"(?:^|[.:;|] )Who \w+s\b(?![^.]*\?)", "a client that ..., if you ...", "Who waits gets nothing."),
    Phrase(r"\b[Ww]ho(?:so)?ever\b", "a client that ..., everyone", "Whoever waits gets nothing."),
    Phrase(r"\bwith(?:out| a) word\b|\bwith which words\b", "silently; the error", "It is cut without word."),
    Phrase(r"\ball the same\b", "still, anyway", "The others run all the same."),
    Phrase(r"\bbesides\b", "also, in addition", "It has a name besides."),
    Phrase(r"\bby turns\b", "in turns, alternately", "They run by turns."),
    Phrase(r"\banew\b", "again", "It starts anew."),
    Phrase(r"\bSo it is\b", "the same applies to", "So it is under load."),
    Phrase(r"\b(the|an|of|to|in|is|it|and|with|for|be) \1\b", "one of them", "It ends with with a line."),
    Phrase(
        r"(?i)\b(?:behavior|favor|honor|neighbor|labor)(?:s|ed|ing|able)?\b|\b(?:cancel|label|model)(?:ed|ing)\b",
        "British spelling",
        "Its behavior under load.",
    ),
)
_FOUND = [(phrase, re.compile(phrase.pattern)) for phrase in PHRASES]
_FENCE = re.compile(r"^\s*```")
_QUOTED = re.compile(r"`[^`]*`")


def complaints(text: str, *, page: bool) -> list[str]:
    """What to change in a text, a line each. In a page, code is not prose."""
    found = list[str]()
    code = False
    for number, line in enumerate(text.splitlines(), 1):
        if page and _FENCE.match(line):
            code = not code
        elif not code:
            found += [
                f"{number}: {match[0]!r}: write {phrase.instead!r}"
                for phrase, pattern in _FOUND
                for match in pattern.finditer(_QUOTED.sub("``", line) if page else line)
            ]
    return found


def files() -> list[Path]:
    return sorted({path for pattern in PAGES + SOURCE for path in TOP.glob(pattern)})


def found_in(paths: Iterable[Path]) -> list[str]:
    return [
        f"{path}:{complaint}"
        for path in paths
        for complaint in complaints(path.read_text(encoding="utf-8"), page=path.suffix == ".md")
    ]


if __name__ == "__main__":
    found = found_in(map(Path, sys.argv[1:]) if sys.argv[1:] else files())
    sys.exit("\n".join(found) if found else 0)
