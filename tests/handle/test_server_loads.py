"""What a server's own process loads, and what it leaves to others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ..matrix import SLOW

_LOAD = """
import sys
from podflare_emulator.handle.server import child, loading
loading.import_server(alone=True)
print(*sys.modules)
import uvicorn.main
assert issubclass(uvicorn.main.Server, object), uvicorn.main.Server
"""


def run(program: str, **variables: str) -> str:
    environment = {**os.environ, **variables}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_it_loads_nothing_that_only_some_need() -> None:
    loaded = set(run(_LOAD).split())
    assert "uvicorn" in loaded
    assert not loaded & {"click", "multiprocessing", "mcp", "opentelemetry", "urllib.request", "tomllib"}


def test_a_uvicorn_that_takes_more_from_its_command_line_is_loaded_whole(tmp_path: Path) -> None:
    package = tmp_path / "uvicorn"
    package.mkdir()
    (package / "__init__.py").write_text("from uvicorn.main import Server, more\n")
    (package / "main.py").write_text("Server = more = 1\n")
    program = (
        "from podflare_emulator.handle.server import loading\n"
        "loading._import_uvicorn_without_its_command_line()\n"
        "import uvicorn\nprint(uvicorn.more)"
    )
    assert run(program, PYTHONPATH=str(tmp_path)) == "1\n"


@SLOW
def test_what_is_to_run_at_its_exit_runs(tmp_path: Path) -> None:
    """Of tracing, or of a tool that measures coverage."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import atexit, os\natexit.register(lambda: open({str(tmp_path)!r} + f'/{{os.getpid()}}', 'w').close())\n"
    )
    program = (
        "from podflare_emulator import Emulator\n"
        "with Emulator(isolation='portable', pool_size=0) as emulator:\n"
        "    print(emulator._server._process.pid)"
    )
    server = run(program, PYTHONPATH=str(tmp_path)).strip()
    assert (tmp_path / server).exists()
