"""However pytest ends, no process and no directory of the emulator's is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ..matrix import LONG, servers

pytestmark = LONG

# Whoever runs this suite in the background has perhaps had it ignore Ctrl-C, and so all that it starts.
_PYTEST = """
import signal, sys, pytest
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(pytest.main())
"""


@pytest.mark.parametrize("server", servers())
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_pytest_leaves_nothing_behind(tmp_path: Path, server: str, end: signal.Signals) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    temporary.chmod(0o755)  # guests run as nobody
    (tests / "test_it.py").write_text(
        "import sys, threading\n"
        "def test(podflare_sandbox):\n"
        "    podflare_sandbox.run_code('sleep 1000 &', language='bash')\n"
        "    print('running', file=sys.__stdout__, flush=True)\n"
        "    threading.Event().wait()\n",
        encoding="utf-8",
    )
    run = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _PYTEST,
            "-p",
            "podflare",
            "-q",
            "-s",
            f"--podflare-server={server}",
            f"--rootdir={tests}",
            tests,
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    with run:
        assert run.stdout is not None
        assert any("running" in line for line in run.stdout)
        inside = psutil.Process(run.pid).children(recursive=True)
        assert inside
        run.send_signal(end)
    _, alive = psutil.wait_procs(inside, timeout=60)
    assert not alive
    assert list(temporary.glob("podflare-emulator-*")) == []
