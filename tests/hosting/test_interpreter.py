"""The guests' Python is found, started and hidden wherever on the machine it lives."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from podflare import Sandbox
from podflare_emulator import Emulator, EmulatorError
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.machine.interpreter import find

from ..matrix import SLOW

_ASK = "import sys, sysconfig; print(sys.base_prefix, sysconfig.get_config_var('Py_ENABLE_SHARED') or 0)"
_LEFT_OUT = ("test", "tests", "idlelib", "turtledemo", "ensurepip", "config-*", "site-packages")

# In every kind: C extensions, a child of the same interpreter, and the names that scripts use for it.
USE = """
import json, os, socket, sqlite3, subprocess, sys, zlib
print("%d.%d" % sys.version_info[:2])
for name in (sys.executable, "python", "python3", "python%d.%d" % sys.version_info[:2]):
    subprocess.run([name, "-c", "import sqlite3, sys; assert sys.version == %r" % sys.version], check=True)
print(os.listdir("/root") + os.listdir("/tmp"))
"""


@pytest.fixture
def in_sandbox() -> Iterator[Callable[[Path], Sandbox]]:
    """`in_sandbox(python)`: a sandbox of an emulator whose guests run that interpreter."""
    with contextlib.ExitStack() as stack:

        def start(python: Path) -> Sandbox:
            emulator = Emulator(isolation="namespace", python=str(python), pool_size=0)
            try:
                stack.enter_context(emulator)
            except EmulatorError as error:
                if "unshare" in str(error) or "mount" in str(error):
                    pytest.skip(str(error))
                raise
            return stack.enter_context(Sandbox(host=emulator.url))

        yield start


@pytest.fixture
def place() -> Iterator[Callable[[Path], Path]]:
    """`place(parent)`: a new directory in it, removed after the test; skips where there is no such parent."""
    made: list[Path] = []

    def make(parent: Path) -> Path:
        if not os.access(parent, os.W_OK):
            pytest.skip(f"{parent} cannot be written")
        made.append(Path(tempfile.mkdtemp(prefix="podflare-python-", dir=parent)))
        made[-1].chmod(0o755)
        return made[-1]

    yield make
    for directory in made:
        shutil.rmtree(directory)


@SLOW
def test_the_systems(in_sandbox: Callable[[Path], Sandbox]) -> None:
    python = Path("/usr/bin/python3")
    if not supported(python):
        pytest.skip(f"no {python} of 3.10 or later")
    check(in_sandbox(python), python)


@SLOW
@pytest.mark.parametrize("shared", [False, True], ids=["static", "with a shared library"])
def test_pyenvs(in_sandbox: Callable[[Path], Sandbox], shared: bool) -> None:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for python in installed(root, "versions/3.*/bin/python3"):
        if supported(python) and asked(python)[1] == shared:
            check(in_sandbox(python), python)
            return
    pytest.skip(f"pyenv has no such Python of 3.10 or later below {root}")


def test_uvs(in_sandbox: Callable[[Path], Sandbox]) -> None:
    root = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path.home() / ".local/share/uv/python")
    for python in installed(root, "*/bin/python3"):
        if supported(python):
            check(in_sandbox(python), python)
            return
    pytest.skip(f"uv has no Python of 3.10 or later below {root}")


@SLOW
@pytest.mark.parametrize(
    "parent",
    [Path.home(), Path("/home"), Path("/opt"), Path("/tmp")],
    ids=["at home", "/home", "/opt", "/tmp"],
)
def test_one_that_was_installed_there(
    in_sandbox: Callable[[Path], Sandbox], place: Callable[[Path], Path], parent: Path
) -> None:
    """As conda's and uv's are: a prefix that has been moved to where it is."""
    prefix = place(parent)
    python = install(prefix)
    package(site_packages(prefix), "of_the_prefix")
    sandbox = in_sandbox(python)
    check(sandbox, python)
    assert sandbox.run_code("import of_the_prefix; print(of_the_prefix.name)").stdout == "of_the_prefix"


@SLOW
@pytest.mark.parametrize(
    ("parent", "options"),
    [(Path.home(), ()), (Path("/tmp"), ("--system-site-packages",)), (Path("/tmp"), ("--copies",))],
    ids=["at home", "/tmp --system-site-packages", "/tmp --copies"],
)
def test_a_virtual_environment(
    in_sandbox: Callable[[Path], Sandbox],
    place: Callable[[Path], Path],
    parent: Path,
    options: tuple[str, ...],
) -> None:
    directory = place(parent)
    base = install(directory / "base")
    package(site_packages(directory / "base"), "of_the_system")
    subprocess.run([base, "-m", "venv", "--without-pip", *options, directory / "venv"], check=True)
    packages = site_packages(directory / "venv")
    package(packages, "of_the_environment")
    package(directory / "project/src", "editable")
    (packages / "__editable__.project.pth").write_text(f"{directory}/project/src\n")
    package(directory / "flat", "found")
    (packages / "__editable__.flat.pth").write_text("import __editable___flat_finder\n")
    mapping = f"MAPPING = {{'found': {str(directory / 'flat/found')!r}}}\n"
    (packages / "__editable___flat_finder.py").write_text(mapping)  # as setuptools does
    python = directory / "venv/bin/python"
    sandbox = in_sandbox(python)
    check(sandbox, python)
    imports = """
import importlib, subprocess, sys
for name in ("of_the_environment", "editable", "found", "of_the_system"):
    try:
        importlib.import_module(name)
    except ImportError:
        continue
    subprocess.run([sys.executable, "-c", "import " + name], check=True)
    print(name)
"""
    expected = ["of_the_environment", "editable", "found"]
    if "--system-site-packages" in options:
        expected.append("of_the_system")
    assert sandbox.run_code(imports).stdout.split() == expected


@SLOW
@pytest.mark.usefixtures("namespace_emulator")
def test_one_that_only_root_may_read_is_refused_with_the_reason(place: Callable[[Path], Path]) -> None:
    """A sandbox's root is nobody on the host, if the emulator was started as root."""
    if os.getuid() != 0:
        pytest.skip("it takes root")
    prefix = place(Path("/tmp"))
    python = install(prefix)
    prefix.chmod(0o700)
    with pytest.raises(EmulatorError, match="Python cannot be started: Permission denied"):
        Emulator(isolation="namespace", python=str(python)).start()


_FIND_HERE = """
import sys
own = [entry for entry in sys.path if entry]
from podflare_emulator.hosting.machine import interpreter
sys.path[:0] = ["/tmp", "/of/a/test"]
asked = interpreter.find(None)
started = []
interpreter._ask = lambda program, ask=interpreter._ask: started.append(program) or ask(program)
assert interpreter.find(None, entries=own) == asked
print(len(started))
"""


@pytest.mark.parametrize(("bent", "started"), [({}, 0), ({"PYTHONPATH": "/usr/share"}, 1)])
def test_a_server_knows_its_own_python_without_starting_another(bent: dict[str, str], started: int) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, "-c", _FIND_HERE]
    done = subprocess.run(command, env={**plain, **bent}, capture_output=True, text=True, check=True)
    assert int(done.stdout) == started


def test_what_is_no_python_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho not a Python >&2; exit 3\n")
    program.chmod(0o755)
    with pytest.raises(HostingError, match="does not run as a Python interpreter: not a Python"):
        find(str(program))


def test_a_python_that_is_too_old_is_refused() -> None:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for python in installed(root, "versions/3.[6-9].*/bin/python3"):
        with pytest.raises(HostingError, match=r"is Python 3\.[\d.]+; guests need 3.10 or later"):
            find(str(python))
        return
    pytest.skip("there is none")


def installed(root: Path, pattern: str) -> list[Path]:
    """Also where the environment names a place that is somebody else's."""
    return sorted(root.glob(pattern)) if os.access(root, os.R_OK | os.X_OK) else []


def check(sandbox: Sandbox, python: Path) -> None:
    """It runs, and its files are not among the sandbox's."""
    result = sandbox.run_code(USE)
    assert (result.stderr, result.exit_code) == ("", 0)
    assert result.stdout.splitlines() == [find(str(python)).version, "[]"]
    assert sandbox.run_code("find /root /tmp -mindepth 1", language="bash").stdout == ""


@cache
def asked(python: Path) -> tuple[Path, bool]:
    """Where it is installed, and whether it needs a shared library."""
    answer = subprocess.run([python, "-c", _ASK], capture_output=True, text=True, check=True).stdout
    prefix, shared = answer.rsplit(maxsplit=1)
    return Path(prefix), shared == "1"


def supported(python: Path) -> bool:
    try:
        find(str(python))
    except HostingError:
        return False
    return True


def install(prefix: Path) -> Path:
    """A copy of the running interpreter's installation, without what can be spared; hard links where they can be.

    One that was built with a shared library goes on using it where it is.
    """
    if Path(sys.base_prefix) == Path("/usr"):
        pytest.skip("the interpreter that runs the tests cannot be moved")
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    source = Path(sys.base_prefix)
    (prefix / "bin").mkdir(parents=True)
    shutil.copy2(source / "bin" / version, prefix / "bin" / version)
    shutil.copytree(
        source / "lib" / version,
        prefix / "lib" / version,
        ignore=shutil.ignore_patterns(*_LEFT_OUT),
        copy_function=_link_or_copy,
    )
    for name in ("python", "python3"):
        (prefix / "bin" / name).symlink_to(version)
    site_packages(prefix).mkdir()
    return prefix / "bin/python3"


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def site_packages(prefix: Path) -> Path:
    return prefix / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"


def package(directory: Path, name: str) -> None:
    (directory / name).mkdir(parents=True)
    (directory / name / "__init__.py").write_text("name = __name__\n")
