"""The clients that the vendor has published, unmodified, over all that they have."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ..matrix import SLOW
from ..plugin.published import PUBLISHED, published_python, run_program

OLDER = ("0.0.1", "0.0.10", "0.0.16")


@SLOW
@pytest.mark.parametrize("version", [*OLDER, PUBLISHED])
def test_every_public_name_and_parameter(pytester: pytest.Pytester, version: str) -> None:
    python = published_python()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PODFLARE_")}
    if version != PUBLISHED:
        found_first = [_older(version), environment.get("PYTHONPATH")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, found_first))
    asked = [python, "-c", "import importlib.metadata as found; print(found.version('podflare'))"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True, env=environment)
    assert answer.stdout.strip() == version
    program = Path(__file__).with_name("surface.py").read_text(encoding="utf-8")
    run_program(pytester, python, program, environment)


def _older(version: str) -> str:
    """The folder that it is in."""
    folder = Path(os.environ.get("PODFLARE_OLDER_CLIENTS") or "none", version)
    if not (folder / "podflare").is_dir():
        pytest.skip(f"PODFLARE_OLDER_CLIENTS names no folder with a folder {version}, of podflare=={version}")
    return str(folder)
