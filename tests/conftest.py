"""For every suite: a temp directory of its own, so that what is left behind can be told from what others do."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from . import matrix

pytest_plugins = ["pytester"]

_STATES = "podflare-emulator-*"
_PATIENCE = 10.0  # seconds


def pytest_addoption(parser: pytest.Parser) -> None:
    matrix.declare(parser)
    parser.addoption(
        "--beside-all",
        action="store_true",
        help="let the inner runs of tests/plugin load every pytest plugin that is installed",
    )
    parser.addoption(
        "--model-steps",
        type=int,
        default=80,
        help="how many steps the model of a family of sandboxes is checked for, on each engine and isolation",
    )
    parser.addoption(
        "--all-patched-names",
        action="store_true",
        help="patch every name of the table in tests/plugin/test_patched_names.py, rather than a sample of it",
    )


def pytest_configure(config: pytest.Config) -> None:
    matrix.configure(config)
    config.addinivalue_line(
        "markers", "beside(*entry_points): the pytest plugins that inner runs load besides ours"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist's hook for a worker that is about to start."""
    matrix.tell(node.workerinput, node.config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    matrix.choose(config, items)


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """The suite's last check: no process, directory, mount or listening port of an emulator's."""
    before = os.environ.get("TMPDIR")
    temporary = Path(tempfile.mkdtemp(prefix="podflare-tests-"))
    temporary.chmod(0o755)
    os.environ["TMPDIR"], tempfile.tempdir = str(temporary), None
    ports = _listening()
    yield
    end = time.monotonic() + _PATIENCE
    while any((left := _left(temporary, ports)).values()) and time.monotonic() < end:
        time.sleep(0.05)  # the warden of a killed emulator clears up by itself
    shutil.rmtree(temporary, ignore_errors=any(left.values()))
    tempfile.tempdir = None
    if before is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = before
    assert not any(left.values()), f"the tests have left behind: {left}"


def _left(temporary: Path, ports: set[str]) -> dict[str, list[str]]:
    return {
        "processes": _processes(temporary),
        "directories": list(map(str, temporary.glob(_STATES))),
        "mounts": [line for line in _mounts() if str(temporary) in line],
        "ports": sorted(_listening() - ports),
    }


def _processes(temporary: Path) -> list[str]:
    """Those whose command line, directory or open files are below `temporary`."""
    names = {path.name for path in temporary.glob(_STATES)} | {str(temporary)}
    found = []
    for process in psutil.process_iter():
        words = []
        with contextlib.suppress(psutil.Error, OSError):  # it ends just now, or is another user's
            words += process.cmdline()
            words.append(process.cwd())
        if any(name in " ".join(words) for name in names):
            found.append(f"{process.pid}: {' '.join(words)}")
    return found


def _mounts() -> list[str]:
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _listening() -> set[str]:
    connections = psutil.Process().net_connections("tcp")
    return {str(connection.laddr) for connection in connections if connection.status == psutil.CONN_LISTEN}
