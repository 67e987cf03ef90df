"""What a warden loads: every emulator starts one, and waits for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import podflare_emulator.guest

_LOAD = f"""
import sys, types
package = types.ModuleType("podflare_guest")
package.__path__ = [{str(Path(podflare_emulator.guest.__file__).parent)!r}]
sys.modules["podflare_guest"] = package
from podflare_guest.processes import warden
warden._backend(sys.argv[1])
print(*sys.modules)
"""


def loaded_for(isolation: str) -> set[str]:
    command = [sys.executable, "-I", "-S", "-c", _LOAD, isolation]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_it_loads_only_its_backend() -> None:
    rooms = {f"podflare_guest.jail.{name}" for name in ("namespace.start", "preload", "portable.inside")}
    assert loaded_for("namespace") & rooms == {"podflare_guest.jail.namespace.start"}


def test_it_loads_nothing_slow_that_it_needs_only_at_times() -> None:
    slow = {"dataclasses", "inspect", "traceback", "subprocess"}
    assert not loaded_for("namespace") & slow
