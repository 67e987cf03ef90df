"""The Pythons that a portable sandbox starts do not compile its mapping, wherever the emulator is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import podflare_emulator

# Where the mapping lies for a child Python, and whether that has bytecode, which may take a moment.
PROGRAM = """
import sys
from podflare import Sandbox
from podflare_emulator import Emulator

LOOK = '''
import os, subprocess, time
look = "import sys; print(sys.modules['_podflare_jail.calls'].__cached__)"
cached = subprocess.check_output(["python3", "-c", look], text=True).strip()
while not os.path.exists(cached):
    time.sleep(0.01)
print(cached)
'''
with Emulator(isolation="portable", pool_size=0) as emulator, Sandbox(host=emulator.url) as sandbox:
    print(sandbox.run_code(LOOK).stdout)
"""


def installed(place: Path, *, compiled: bool) -> Path:
    """A copy of the emulator's package."""
    package = place / "podflare_emulator"
    shutil.copytree(
        Path(podflare_emulator.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    if compiled:
        subprocess.run([sys.executable, "-m", "compileall", "-q", package / "guest"], check=True)
    return package


def bytecode_of_children(place: Path) -> str:
    environment = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join([str(place), *filter(None, sys.path)]),
    }
    command = [sys.executable, "-c", PROGRAM]
    told = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
    return told.stdout.strip()


def test_bytecode_beside_the_code_is_used(tmp_path: Path) -> None:
    package = installed(tmp_path, compiled=True)
    assert bytecode_of_children(tmp_path).startswith(f"{package}/guest/jail/portable/__pycache__/calls.")


def test_without_any_the_emulators_own_directory_has_it(tmp_path: Path) -> None:
    package = installed(tmp_path, compiled=False)
    found = bytecode_of_children(tmp_path)
    assert "/podflare-emulator-" in found
    assert found.split("/code/")[1].startswith("jail/portable/__pycache__/calls.")
    assert not [*(package / "guest/jail").rglob("__pycache__")]
