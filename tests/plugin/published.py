"""Runs tests with the vendor's published client, where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

PUBLISHED = "0.0.22"
_PATIENCE = 180  # seconds


def published_python() -> str:
    """The interpreter that it is installed for; skips the test where there is none."""
    python = os.environ.get("PODFLARE_PUBLISHED_CLIENT_PYTHON")
    if python:
        return python
    try:
        if version("podflare") == PUBLISHED:
            return sys.executable
    except PackageNotFoundError:
        pass
    pytest.skip(
        f"PODFLARE_PUBLISHED_CLIENT_PYTHON names no interpreter with podflare=={PUBLISHED}, pytest and this emulator"
    )


def has_published(module: str) -> bool:
    """Whether there is this module beside the published client."""
    find = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([published_python(), "-c", find]).returncode == 0


def run_with_the_published_client(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, program: str
) -> str:
    """What pytest says of this file."""
    python = published_python()
    for name in list(os.environ):
        if name.startswith(("PODFLARE_", "PYTEST_")):
            monkeypatch.delenv(name)
    return run_program(pytester, python, program, dict(os.environ))


def run_program(pytester: pytest.Pytester, python: str, program: str, environment: dict[str, str]) -> str:
    """What pytest says of this file, in this interpreter and environment."""
    pytester.makepyfile(test_it=program)
    # No traceback: it would show lines of the client, which is not ours to read.
    run = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:randomly", "--tb=line"],
        cwd=pytester.path,
        capture_output=True,
        text=True,
        env=environment,
        timeout=_PATIENCE,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout
