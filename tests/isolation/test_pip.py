"""Under preload and portable isolation pip writes the sandbox's packages, and by no route the host's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from podflare import Sandbox
from podflare_emulator import Emulator
from podflare_emulator.hosting.machine.interpreter import find

from . import wheel

NAME = "podflare_stray"
FILE = f"/root/{wheel.file_name(NAME, '1.0')}"
OPTIONS = f"--quiet --no-index --no-deps --disable-pip-version-check {FILE}"

# `base` is the interpreter that the guests' environment is made of; `packages` and `prefix` are the host's.
ROUTES = {
    "pip": "pip install {options}",
    "module": "python3 -m pip install {options}",
    "user": "pip install --user {options}",
    "target": "pip install --target {packages} {options}",
    "target, to replace": "pip install --upgrade --target {packages} {options}",
    "prefix": "pip install --prefix {prefix} {options}",
    "root": "pip install --root / {options}",
    "root and prefix": "pip install --root / --prefix {prefix} {options}",
    "break system packages": "pip install --break-system-packages {options}",
    "forced": "pip install --force-reinstall --ignore-installed {options}",
    "another interpreter": "pip --python {base} install --break-system-packages {options}",
    "the base interpreter": "{base} -m pip install --break-system-packages {options}",
    "the base interpreter, user": "{base} -m pip install --user --break-system-packages {options}",
    "the host's packages": "PYTHONPATH={packages} {base} -m pip install --prefix {prefix} {options}",
    "the system's interpreter": "/usr/bin/python3 -m pip install --break-system-packages {options}",
    "by variables": "PIP_TARGET={packages} PIP_BREAK_SYSTEM_PACKAGES=1 pip install {options}",
    "an emptied environment": "env -i PYTHONPATH={packages} {base} -m pip install --prefix {prefix} {options}",
    "ensurepip": "python3 -m ensurepip --upgrade; {base} -m ensurepip --upgrade; pip install {options}",
    "unzipped": "python3 -m zipfile -e {file} {packages}",
}


@pytest.fixture(scope="module")
def places() -> dict[str, str]:
    """Where packages of the host's lie."""
    python = find(None)
    told = subprocess.run(
        [sys.executable, "-c", "import sysconfig, json; print(json.dumps(sysconfig.get_paths()))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {"packages": json.loads(told.stdout)["purelib"], "prefix": sys.prefix, "base": python.executable}


@pytest.fixture(scope="module")
def sandbox(directory_emulator: Emulator) -> Iterator[Sandbox]:
    with Sandbox(host=directory_emulator.url) as sandbox:
        if sandbox.run_code("import pip").exit_code:
            pytest.skip("the guests' Python has no pip")
        sandbox.upload(wheel.build(NAME, "1.0"), FILE)
        yield sandbox


def strays() -> list[str]:
    """What pip has put anywhere that a Python of the host's looks."""
    python = find(None)
    directories = {*python.path, *sys.path, os.path.expanduser("~/.local"), python.prefix, "/usr/local"}
    return [
        str(path)
        for directory in directories
        if os.path.isdir(directory)
        for pattern in (
            f"{NAME}*",
            f"lib/python3*/*/{NAME}*",
            f"bin/{NAME}*",
            f"local/lib/python3*/*/{NAME}*",
        )
        for path in Path(directory).glob(pattern)
    ]


@pytest.mark.parametrize("route", ROUTES)
def test_no_route_leads_to_the_hosts_packages(sandbox: Sandbox, places: dict[str, str], route: str) -> None:
    (child,) = sandbox.fork(1)
    with child:
        child.run_code(ROUTES[route].format(**places, options=OPTIONS, file=FILE), "bash")
    assert strays() == []


def test_no_package_of_the_hosts_is_removed(sandbox: Sandbox, places: dict[str, str]) -> None:
    (child,) = sandbox.fork(1)
    with child:
        child.run_code("pip uninstall --yes --break-system-packages pip pluggy", "bash")
        child.run_code(f"rm -rf {places['packages']}/pip {places['packages']}/pluggy", "bash")
    subprocess.run([sys.executable, "-c", "import pluggy"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "--version"], check=True, stdout=subprocess.DEVNULL)


def test_pip_install_lands_in_the_sandbox_and_its_forks(sandbox: Sandbox) -> None:
    (child,) = sandbox.fork(1)
    with child:
        assert "ModuleNotFoundError" in child.run_code(f"import {NAME}").stderr
        assert child.run_code(f"pip install {OPTIONS}", "bash").exit_code == 0
        assert child.run_code(f"import {NAME}; print({NAME}.__file__)").stdout.startswith("/.venv/")
        assert child.run_code(f"python3 -c 'import {NAME}; {NAME}.main()'", "bash").stdout == "1.0"
        (grandchild,) = child.fork(1)
        with grandchild:
            assert grandchild.run_code(f"python3 -c 'import {NAME}; {NAME}.main()'", "bash").stdout == "1.0"
    assert sandbox.run_code(f"import {NAME}").exit_code == 1


def test_programs_that_pip_has_installed_start(sandbox: Sandbox) -> None:
    (child,) = sandbox.fork(1)
    with child:
        child.run_code(f"pip install {OPTIONS}", "bash")
        assert child.run_code(NAME, "bash").stdout == "1.0"
        assert child.run_code(f"import subprocess; subprocess.run(['{NAME}'])").stdout == "1.0"
