"""The server in a process of its own: what a test does to its process does not reach it.

The child's standard input is its lease on life: a byte, or the end of the parent by whatever means, ends it.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
from os import getpid
from select import POLLIN, poll
from subprocess import PIPE, Popen
from typing import IO, Any

from podflare_emulator.handle.server.channel import Channel
from podflare_emulator.handle.server.started import CALL, START, STOP, Started
from podflare_emulator.vocabulary.errors import NOT_RUNNING, EmulatorError
from podflare_emulator.vocabulary.settings import Settings, reachable_host

# The child may not find this package by itself: it gets the parent's path before it imports anything.
_PROGRAM = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from podflare_emulator.handle.server.child import serve
serve(sys.stdin.buffer)
"""


class ServerProcess:
    """`call` may be made in a process that has been forked from this one; only this one ends it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._owner = getpid()
        self._process: Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._given_up = ""  # why

    def launch(self) -> None:
        """Begins to start: `start` waits for it."""
        try:
            self._process = Popen(
                [sys.executable, "-c", _PROGRAM],
                stdin=PIPE,
                stdout=PIPE,
                start_new_session=True,  # Ctrl-C in the terminal is the parent's to answer
            )
        except OSError as error:
            raise EmulatorError(f"the server's process cannot be started: {error}") from error
        child_in, _ = self._pipes()
        with contextlib.suppress(OSError):  # it has ended: `start` tells
            pickle.dump(sys.path, child_in)
            pickle.dump(self._settings, child_in)
            child_in.flush()

    def start(self) -> Started:
        """Returns when it serves; raises EmulatorError when it cannot."""
        if self._process is None:
            self.launch()
        _, child_out = self._pipes()
        try:
            if not _readable(child_out, START):
                self._given_up = f"it did not serve within {START} seconds"
                raise EmulatorError(f"the server's process was ended: {self._given_up}")
            answer: Started | EmulatorError = pickle.load(child_out)
            if isinstance(answer, EmulatorError):
                raise answer
        except BaseException as error:
            self.stop()
            if isinstance(error, (OSError, EOFError)):
                raise EmulatorError(f"the server's process ended {self._exit()} before it served") from error
            raise
        assert answer.side_port
        keys = self._settings.api_keys
        self._channel = Channel(
            reachable_host(self._settings.host), answer.side_port, keys[0] if keys else None
        )
        return answer

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
        """Ends every sandbox and the process; returns when nothing of theirs is left."""
        if self._process is None or self._owner != getpid():
            return
        process, (child_in, child_out) = self._process, self._pipes()
        # Closing is not enough: a child that the parent has forked may hold a copy of this end.
        with contextlib.suppress(OSError):
            child_in.write(b"\0")
            child_in.flush()
        if self._given_up or not _readable(child_out, STOP):
            process.kill()  # what runs in its sandboxes ends with it
        process.wait()
        if self._channel:
            self._channel.close()
        with contextlib.suppress(OSError):
            child_in.close()
        child_out.close()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def _why(self, error: OSError) -> str:
        if self._owner == getpid() and self._process and self._process.poll() is not None:
            return f"has ended {self._exit()}: if a test has killed it, let it spare the emulator's process"
        return f"does not answer: {error}"

    def _exit(self) -> str:
        code = self._process.returncode if self._process else None
        return f"by signal {-code}" if code and code < 0 else f"with code {code}"


def _readable(pipe: IO[bytes], seconds: int) -> bool:
    """Whether there is something to read from it, if only its end, before they have passed."""
    waiting = poll()
    waiting.register(pipe.fileno(), POLLIN)
    return bool(waiting.poll(seconds * 1000))
