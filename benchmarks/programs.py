"""Programs that are measured from their start: each in a fresh process, without what is not its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

PLUGIN = ("-p", "pytest_podflare.plugin")


@contextmanager
def started(*words: str) -> Iterator[IO[str]]:
    """A Python program and its output; it is told to end, and waited for, in the end."""
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def test_directory(**files: str) -> Iterator[Path]:
    """A directory with these Python files (name without suffix: text), for pytest to be run in."""
    with TemporaryDirectory(prefix="podflare-benchmark-") as directory:
        place = Path(directory)
        (place / "pytest.ini").write_text("[pytest]\n")
        for name, text in files.items():
            (place / f"{name}.py").write_text(text)
        yield place


def run_pytest(directory: Path, options: Sequence[str]) -> None:
    """Raises RuntimeError, with the end of its output, when a test fails."""
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=directory,
        # Other plugins that happen to be installed cost time of their own.
        env={**_environment(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if finished.returncode != 0:
        raise RuntimeError(f"pytest ended with {finished.returncode}: {finished.stdout[-500:]}")


def run_python(code: str) -> str:
    """What it prints."""
    return subprocess.check_output([sys.executable, "-c", code], env=_environment(), text=True)


def _environment() -> dict[str, str]:
    """Bytecode may be kept, as it is on a user's machine."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
