"""The server in a process of its own, for programs that wreck theirs: what they patch does not reach it.

The child's standard input is its lease on life: a byte, or the end of the parent by whatever means, ends it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import pickle
import subprocess
import sys
from typing import IO, Any

from podflare_emulator.handle.server.thread import ServerThread, Started
from podflare_emulator.vocabulary.errors import EmulatorError
from podflare_emulator.vocabulary.settings import Settings, reachable_host

_HTTPConnection = http.client.HTTPConnection  # here, where vcr's and other tools' patches do not come

# The child may not find this package by itself: it gets the parent's path before it imports anything.
_PROGRAM = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from podflare_emulator.handle.server.process import serve
serve(sys.stdin.buffer, sys.stdout.buffer)
"""


class ServerProcess:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def start(self) -> Started:
        """Returns when it serves; raises EmulatorError when it cannot."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is the parent's to answer
        )
        child_in, child_out = self._pipes()
        try:
            pickle.dump(sys.path, child_in)
            pickle.dump(self._settings, child_in)
            child_in.flush()
            answer: Started | EmulatorError = pickle.load(child_out)
        except BaseException as error:
            self.stop()
            if isinstance(error, (OSError, EOFError)):
                code = self._process.returncode
                raise EmulatorError(f"the server's process ended with {code} before it served") from error
            raise
        if isinstance(answer, EmulatorError):
            self.stop()
            raise answer
        self._side_port = answer.side_port
        return answer

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """Makes a call of the control API, and waits for its result."""
        connection = _HTTPConnection(reachable_host(self._settings.host), self._side_port)
        headers = {"Content-Type": "application/json"}
        if self._settings.api_keys:
            headers["Authorization"] = f"Bearer {self._settings.api_keys[0]}"
        try:
            connection.request("POST", f"/_emulator/{name}", json.dumps(arguments), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            raise EmulatorError(f"the server's process does not answer: {error}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise EmulatorError(answer["error"])
        return answer["result"]

    def stop(self) -> None:
        """Ends every sandbox and the process; returns when nothing of theirs is left."""
        child_in, child_out = self._pipes()
        # Closing is not enough: a child that the parent has forked may hold a copy of this end.
        with contextlib.suppress(OSError):
            child_in.write(b"\0")
            child_in.flush()
        self._process.wait()
        with contextlib.suppress(OSError):
            child_in.close()
        child_out.close()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


def serve(commands: IO[bytes], answers: IO[bytes]) -> None:
    """In the child: serves until `commands` has one more byte, or ends."""
    server = ServerThread(pickle.load(commands), side_door=True)
    try:
        answer: Started | EmulatorError = server.start()
    except EmulatorError as error:
        answer = EmulatorError(str(error))  # without its cause, which need not be picklable
    pickle.dump(answer, answers)
    answers.flush()
    if isinstance(answer, Started):
        commands.read(1)
        server.stop()
