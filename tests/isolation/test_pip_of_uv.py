"""uv makes environments without pip; sandboxes of such a Python have the one of the standard library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from podflare import Sandbox

from ..matrix import SLOW
from ..serving import serving
from . import wheel

NAME = "podflare_tiny"
FILE = f"/root/{wheel.file_name(NAME, '1.0')}"


@SLOW
@pytest.mark.parametrize("isolation", ["namespace", "preload", "portable"])
def test_it_installs_and_uninstalls(isolation: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:2]:
        parent.chmod(0o755)  # pytest's own, which a sandbox's user must get through
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "environment")], check=True)
    python = str(tmp_path / "environment" / "bin" / "python")
    with serving(isolation, python=python) as emulator, Sandbox(host=emulator.url) as sandbox:
        sandbox.upload(wheel.build(NAME, "1.0"), FILE)
        installed = sandbox.run_code(
            f"python3 -m pip --version && pip install -q --no-index {FILE} && python3 -c 'import {NAME}' && "
            f"pip uninstall -qy {NAME} && ! python3 -c 'import {NAME}' 2>&1 | grep -o 'No module.*'",
            language="bash",
        )
        assert installed.stdout.startswith("pip "), installed
        assert installed.stdout.endswith(f"No module named '{NAME}'"), installed
