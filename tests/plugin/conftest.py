"""Which plugins the inner runs of pytest load.

By default ours, and those that `@pytest.mark.beside("entry point", ...)` names: each plugin more costs every one of
these runs its imports. So do trio and rich, which httpx imports where they are installed. With `--beside-all` all that
are installed, as in the environment of somebody who has them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

from .published import published_python

_INSTALLED = {point.name for point in entry_points(group="pytest11")}

# Versions that know it warn where it is unset, and older ones where it is set.
_LOOP_SCOPE = "-o asyncio_default_fixture_loop_scope=function"
_KNOWS_IT = "asyncio" in _INSTALLED and not version("pytest-asyncio").startswith(("0.21", "0.22", "0.23"))


@pytest.fixture(scope="session")
def _fewer_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of modules that hide those of the same names."""
    directory = tmp_path_factory.mktemp("fewer-modules")
    for name in ("trio", "rich"):
        (directory / f"{name}.py").write_text("raise ImportError\n")
    return directory


@pytest.fixture(autouse=True)
def _plugins(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "pytester" not in request.fixturenames:
        return
    named = [name for marker in request.node.iter_markers("beside") for name in marker.args]
    if missing := [name for name in named if name not in _INSTALLED]:
        pytest.skip(f"this pytest plugin is not installed: {', '.join(missing)}")
    request.getfixturevalue("pytester")  # which begins by forgetting these variables
    if request.config.getoption("--beside-all"):
        monkeypatch.setenv("PYTEST_ADDOPTS", _LOOP_SCOPE if _KNOWS_IT else "")
        return
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    # By the module where the entry point has the name of another: `-p socket` would be the standard library's.
    options = " ".join(f"-p {'pytest_socket' if name == 'socket' else name}" for name in ["podflare", *named])
    monkeypatch.setenv(
        "PYTEST_ADDOPTS", f"{options} {_LOOP_SCOPE if _KNOWS_IT and 'asyncio' in named else ''}"
    )
    monkeypatch.setenv("PYTHONPATH", str(request.getfixturevalue("_fewer_modules")))


@pytest.fixture(params=["our client", "the vendor's"])
def run_pytest(request: pytest.FixtureRequest, pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Runs pytest on the test's files, in an interpreter that has this client."""
    python = sys.executable if request.param == "our client" else published_python()
    return lambda *options: pytester.run(
        python, "-m", "pytest", "-p", "no:cacheprovider", *options, timeout=180
    )
