"""The base tree: the content of a new sandbox before anything has run in it. Every jail starts as a copy of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..order import Seed

VENV = "/.venv"
STUBS = f"{VENV}/stubs"  # first on the PATH; exists only while a test answers commands
PACKAGES = f"{VENV}/lib/python{{version}}/site-packages"
SHARED_MEMORY = "/run/shm"

_DIRECTORIES = (
    "/root",
    "/home",
    "/data",
    "/workspace",
    "/opt",
    "/srv",
    "/mnt",
    "/media",
    "/run/lock",
    "/var/cache/apt/archives/partial",
    "/var/lib/apt/lists/partial",
    "/var/log",
)
_WORLD_WRITABLE = ("/tmp", "/var/tmp", SHARED_MEMORY)
OWN = (*_DIRECTORIES, *_WORLD_WRITABLE, VENV)  # directories that every sandbox has for itself

_PIP = """\
#!/bin/sh
exec "$(dirname "$0")/python3" -m pip "$@"
"""


def build(
    tree: str, *, python: str, version: str, path: Sequence[str], pip: str, seeds: Sequence[Seed]
) -> None:
    """Creates the base tree at `tree`. `python` and `path` are as the sandbox will see them; `pip`: see `Python`."""
    for directory in _DIRECTORIES:
        os.makedirs(tree + directory)
    os.chmod(f"{tree}/root", 0o700)
    for directory in _WORLD_WRITABLE:
        os.makedirs(tree + directory)
        os.chmod(tree + directory, 0o1777)
    if pip:
        path = [*path, os.path.join(os.path.dirname(os.path.dirname(python)), pip)]
    _lay_out_environment(tree, python, version, path)
    for seed in seeds:
        _plant(seed, tree + seed.target)


def _lay_out_environment(tree: str, python: str, version: str, path: Sequence[str]) -> None:
    """Creates the sandbox's virtual environment, on top of the host's packages: `pip install` installs into it."""
    packages = tree + PACKAGES.format(version=version)
    programs = f"{tree}{VENV}/bin"
    os.makedirs(packages)
    os.makedirs(programs)
    write(
        f"{tree}{VENV}/pyvenv.cfg",
        f"home = {os.path.dirname(python)}\ninclude-system-site-packages = false\n",
    )
    write(f"{packages}/host.pth", "".join(f"{directory}\n" for directory in path))
    os.symlink(python, f"{programs}/python3")
    for name in ("python", f"python{version}"):
        os.symlink("python3", f"{programs}/{name}")
    write(f"{programs}/pip", _PIP)
    os.chmod(f"{programs}/pip", 0o755)
    for name in ("pip3", f"pip{version}"):
        os.symlink("pip", f"{programs}/{name}")


def _plant(seed: Seed, target: str) -> None:
    import shutil  # not at the top: guests import this module for its names, and would have to carry it

    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(seed.source):
        shutil.copytree(seed.source, target, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copy2(seed.source, target)


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
