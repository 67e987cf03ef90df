"""The server in its own process, so that whatever a test does to its process does not affect it.

The child's standard input is a socket, its lifeline: a byte on it, or the end of the parent however that comes, ends
the child.
"""

from __future__ import annotations

import contextlib
import sys
from _socket import socket, socketpair
from os import getpid
from pathlib import Path
from pickle import dumps, loads
from subprocess import Popen
from typing import Any

import podflare_emulator
from podflare_emulator.handle.server.channel import Channel, is_open, piece
from podflare_emulator.handle.server.started import CALL, START, STOP, Started
from podflare_emulator.vocabulary.errors import NOT_RUNNING, EmulatorError
from podflare_emulator.vocabulary.settings import Settings, reachable_host

# The child gets the parent's path, as it may not find this package otherwise. The interpreter's own entries come first:
# the tests' directory is in the parent's path, and may hold a `click.py` that is not the one uvicorn imports.
# No garbage is collected during the imports: there is none, and looking for it takes 7 ms.
_PROGRAM = """
import gc, pickle, sys
gc.disable()
package, *path = pickle.load(sys.stdin.buffer)
own = [entry for entry in sys.path if entry]
standard = next((number for number, entry in enumerate(own) if "-packages" in entry), len(own))
sys.path[:] = dict.fromkeys([*own[:standard], package, *own[standard:], *path])
from podflare_emulator.handle.server.child import serve
serve(pickle.load(sys.stdin.buffer), own)
"""
_PACKAGE = str(Path(podflare_emulator.__file__).parents[1])  # where it was found


class ServerProcess:
    """A process forked from this one may use `call`; only this one can end the server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.owner = getpid()
        self._process: Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._given_up = ""  # why

    def launch(self) -> None:
        """Begins the start without waiting; `start` waits for it."""
        ours, theirs = socketpair()
        try:
            self._process = Popen(
                [sys.executable, "-c", _PROGRAM],
                stdin=theirs.fileno(),
                stdout=2,  # anything it prints is not the tests' output
                start_new_session=True,  # Ctrl-C in the terminal must reach only the parent
            )
        except OSError as error:
            ours.close()
            raise EmulatorError(f"the server's process cannot be started: {error}") from error
        finally:
            theirs.close()
        self._lifeline = ours
        ours.settimeout(START)
        with contextlib.suppress(OSError):  # it has ended: `start` reports that
            ours.sendall(dumps([_PACKAGE, *sys.path]) + dumps(self._settings))

    def start(self) -> Started:
        """Returns when it serves; raises EmulatorError if it cannot."""
        if self._process is None:
            self.launch()
        try:
            answer = _answer(self._lifeline)
            if isinstance(answer, EmulatorError):
                raise answer
        except BaseException as error:
            if isinstance(error, TimeoutError):
                self._given_up = f"it did not serve within {START} seconds"
            self.stop()
            if self._given_up:
                raise EmulatorError(f"the server's process was ended: {self._given_up}") from None
            if isinstance(error, OSError):
                raise EmulatorError(f"the server's process ended{self._exit()} before it served") from error
            raise
        assert answer.side_port
        keys = self._settings.api_keys
        self._channel = Channel(
            reachable_host(self._settings.host), answer.side_port, keys[0] if keys else None
        )
        return answer

    @property
    def is_lost(self) -> bool:
        """Whether it has ended by itself, or was given up."""
        if self.owner != getpid():
            return False
        return bool(self._given_up) or not is_open(self._lifeline)

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """Makes a call of the control API, and waits for its result."""
        if self._channel is None:
            raise EmulatorError(NOT_RUNNING)
        if self._given_up:
            raise EmulatorError(f"the server's process was given up: {self._given_up}")
        try:
            return self._channel.call(name, arguments)
        except TimeoutError:
            self._given_up = f"it did not answer {name!r} within {CALL} seconds"
            raise EmulatorError(f"the server's process is given up: {self._given_up}") from None
        except OSError as error:
            raise EmulatorError(f"the server's process {self._why(error)}") from error

    def stop(self) -> None:
        """Ends every sandbox and the process; returns when nothing of them is left."""
        if self._process is None or self.owner != getpid():
            return
        ended = False
        # Closing is not enough: a child forked by the parent may hold a copy of this end.
        with contextlib.suppress(OSError):
            self._lifeline.sendall(b"\0")
        if not self._given_up:
            self._lifeline.settimeout(STOP)
            with contextlib.suppress(TimeoutError):
                ended = _has_ended(self._lifeline)
        if not ended:
            self._process.kill()  # its sandboxes end with it
        self._process.wait()
        self._lifeline.close()
        if self._channel:
            self._channel.close()

    def _why(self, error: OSError) -> str:
        if self.owner == getpid() and self._process:
            self._lifeline.settimeout(1)  # it may be about to end
            with contextlib.suppress(TimeoutError):
                if _has_ended(self._lifeline):
                    self._process.wait()
                    return f"has ended{self._exit()}; if it was killed, do not kill this process's children"
        return f"does not answer: {error}"

    def _exit(self) -> str:
        code = self._process.returncode if self._process else None
        if not code:  # other code has waited for it, so the status is lost
            return ""
        return f" by signal {-code}" if code < 0 else f" with code {code}"


def _answer(lifeline: socket) -> Started | EmulatorError:
    received = b""
    while b"\n" not in received:
        received += piece(lifeline)
    length, _, answer = received.partition(b"\n")
    while len(answer) < int(length):
        answer += piece(lifeline)
    read: Started | EmulatorError = loads(answer)
    return read


def _has_ended(lifeline: socket) -> bool:
    try:
        piece(lifeline)
    except ConnectionError:
        return True
    return False
