"""Tools that patch a test's process, and how to make each leave the server's thread alone.

Only those that are already loaded, so that other test runs do not pay for them. time-machine has no list of
exceptions and needs none: it does not touch the monotonic clock, the only one that the server waits by.
"""

from __future__ import annotations

import sys
from typing import Any

from podflare_emulator.vocabulary.errors import EmulatorError

_SERVER = ("podflare_emulator", "uvicorn", "starlette", "uvloop", "httptools", "h11", "asyncio", "anyio")

# The modules that the server's thread needs unpatched, by gevent's names and by eventlet's.
_GEVENTS = (
    "thread",
    "threading",
    "socket",
    "select",
    "selectors",
    "subprocess",
    "os",
    "ssl",
    "queue",
    "signal",
)
_EVENTLETS = ("thread", "socket", "select", "subprocess", "os")


def refuse_green_threads() -> None:
    """Raises EmulatorError if the server's thread would not be a real one: waiting for it would never end."""
    for tool, patched in (("gevent", _by_gevent()), ("eventlet", _by_eventlet())):
        if patched:
            raise EmulatorError(
                f"{tool} has patched {', '.join(patched)} in this process, but the server's thread needs "
                f"{'it' if len(patched) == 1 else 'them'} unpatched: run the server in its own process, which is the "
                "default: without --podflare-server=thread under pytest, without Emulator(server='thread') elsewhere"
            )


def green_socket() -> Any:
    """The socket class that lets other green threads run while it waits; None if there are no such threads."""
    if "socket" in _by_gevent() or "socket" in _by_eventlet():
        import socket

        return socket.socket
    return None


def _by_gevent() -> list[str]:
    gevent = sys.modules.get("gevent.monkey")
    return [name for name in _GEVENTS if gevent.is_module_patched(name)] if gevent else []


def _by_eventlet() -> list[str]:
    eventlet = sys.modules.get("eventlet.patcher")
    return [name for name in _EVENTLETS if eventlet.is_monkey_patched(name)] if eventlet else []


def exempt_server() -> None:
    """Makes the loaded tools leave the server alone. Call it again to cover tools that were loaded since."""
    if freezegun := sys.modules.get("freezegun"):
        freezegun.configure(extend_ignore_list=list(_SERVER))
    if pyfakefs := sys.modules.get("pyfakefs.fake_filesystem_unittest"):
        # It needs the full name of each module.
        pyfakefs.Patcher.SKIPNAMES.update(
            name for name in list(sys.modules) if name.partition(".")[0] in _SERVER
        )
