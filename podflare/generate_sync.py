"""Writes the SDK's blocking modules from those in `src/podflare/aio` and its rooms. Run it after each change there.

Words are replaced, in code and docstrings alike. Besides, a line `# sync only: CODE` becomes CODE, and what stands
between `# async only {` and `# async only }` is left out. Ruff then wraps the lines anew.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent / "src" / "podflare"
_ASYNC_ONLY = re.compile(r"[ ]*# async only \{\n.*?# async only \}\n\n?", re.DOTALL)
_WORDS = [
    (r"# sync only: ", ""),
    (r"\bAsyncGenerator\[(\w+), None\]", r"Generator[\1, None, None]"),
    (r"\bAwaitable\[(\w+)\]", r"\1"),
    (r"\bAwaitable, ", ""),
    (r"\b(_?)Async([A-Z])", r"\1\2"),
    (r"\basync_(\w+)", r"\1"),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait (?=[\w(])", ""),
    (r"\b__a(enter|exit|iter|next)__", r"__\1__"),
    (r"\btasks of one event loop\b", "threads"),
    (r"\bStopAsyncIteration\b", "StopIteration"),
    (r"\ba(close|read)\b", r"\1"),
    (r"\baiter_bytes\b", "iter_bytes"),
    (r"\baclosing\b", "closing"),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\bpodflare\.aio\b", "podflare"),
]


def generated() -> Iterator[tuple[Path, str]]:
    """The files to write, and their text."""
    for source in sorted((PACKAGE / "aio").rglob("*.py")):
        if source.name != "__init__.py":
            name = source.relative_to(PACKAGE / "aio")
            yield PACKAGE / name, blocking(source.read_text(encoding="utf-8"), str(name))


def blocking(text: str, name: str) -> str:
    """The blocking form of a module's text."""
    text = _ASYNC_ONLY.sub("", text)
    for pattern, replacement in _WORDS:
        text = re.sub(pattern, replacement, text)
    text = f"# Generated from aio/{name} by generate_sync.py: edit that file.\n{text}"
    return _ruff("format", "-", given=_ruff("check", "--quiet", "--fix", "--select=I,F401", "-", given=text))


def _ruff(*arguments: str, given: str) -> str:
    command = [sys.executable, "-m", "ruff", *arguments, f"--stdin-filename={PACKAGE / 'generated.py'}"]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    for path, text in generated():
        path.write_text(text, encoding="utf-8")
