"""Loads what serves HTTP."""

from __future__ import annotations

import sys
from types import ModuleType

_COMMAND_LINE = "uvicorn.main"


def import_server(*, alone: bool) -> None:
    """Imports it all, so that nothing is imported once a test runs. `alone`: no other code in this process uses it."""
    if alone:
        _import_uvicorn_without_its_command_line()
    import uvicorn.loops.auto
    import uvicorn.protocols.http.auto  # noqa: F401

    import podflare_emulator.api.app
    import podflare_emulator.api.server  # noqa: F401


def _import_uvicorn_without_its_command_line() -> None:
    """Its package imports that too, and with it click and multiprocessing: 7 ms of a server's start."""
    stand_in = ModuleType(_COMMAND_LINE)
    stand_in.__dict__.update(dict.fromkeys(("Server", "main", "run")))
    sys.modules[_COMMAND_LINE] = stand_in
    try:
        import uvicorn  # noqa: F401
    except ImportError:  # this version takes more from there; the next import loads it
        pass
    finally:
        del sys.modules[_COMMAND_LINE]
