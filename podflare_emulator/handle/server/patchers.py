"""Tools that patch the process in which a test runs, and how each is told to leave the server's thread alone.

Only those that are loaded: whoever does not use them does not pay for them. time-machine has no such list and needs
none: it leaves the monotonic clock alone, by which alone the server waits.
"""

from __future__ import annotations

import sys

from podflare_emulator.vocabulary.errors import EmulatorError

_SERVER = ("podflare_emulator", "uvicorn", "starlette", "uvloop", "httptools", "h11", "asyncio", "anyio")


def refuse_green_threads() -> None:
    """Raises EmulatorError where the server's thread would be none, and whoever waits for it would wait for ever."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent and gevent.is_module_patched("threading"):
        raise EmulatorError(
            "gevent has patched the threads of this process, and the server needs one of its own: run it in a "
            "process, by --podflare-server=process under pytest, by Emulator(server='process') elsewhere"
        )


def exempt_server() -> None:
    """May be called again, and then counts for what has been loaded since."""
    if freezegun := sys.modules.get("freezegun"):
        freezegun.configure(extend_ignore_list=list(_SERVER))
    if pyfakefs := sys.modules.get("pyfakefs.fake_filesystem_unittest"):
        # It wants the full name of each module.
        pyfakefs.Patcher.SKIPNAMES.update(
            name for name in list(sys.modules) if name.partition(".")[0] in _SERVER
        )
