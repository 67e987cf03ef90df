"""Programs that run as other users, on machines where these find other files: what the tests' root can arrange."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

ROOTLESS = ("--user", "--map-root-user")


def imports() -> list[str]:
    """Where this process's packages come from, without its standard library."""
    return [path for path in sys.path if path.endswith("-packages") or not path.startswith(sys.base_prefix)]


def python_for(user: int, environment: dict[str, str]) -> str:
    """An interpreter that the user may run, with all that an emulator and its client import."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            subprocess.run(
                [python, "-c", "import podflare, podflare_emulator.api.app, uvicorn"],
                env=environment,
                cwd="/",
                user=user,
                capture_output=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    pytest.skip("an ordinary user cannot run a Python with the packages of this one")


def entered(*options: str) -> list[str]:
    """`unshare` with a mount namespace of its own; for an ordinary user that takes a user namespace too."""
    if not options and os.getuid() != 0:
        options = ROOTLESS
    words = ["unshare", "--mount", *options]
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("mounts cannot be had here")
    return words


def prepared(preparation: str, *options: str) -> list[str]:
    """Words that run a command after a line of shell whose effect nobody else sees."""
    words = [*entered(*options), "sh", "-c", f'{preparation} && exec "$@"', "sh"]
    if subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip(f"{preparation}: refused here")
    return words
