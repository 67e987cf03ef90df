"""The server in its own process: it serves until the process that started it hangs up."""

from __future__ import annotations

import os
import pickle
from contextlib import suppress
from socket import socket

from podflare_emulator.handle.server.started import Started
from podflare_emulator.handle.server.thread import ServerThread
from podflare_emulator.vocabulary.errors import EmulatorError
from podflare_emulator.vocabulary.settings import Settings


def serve(settings: Settings) -> None:
    """Until standard input, a socket, has one more byte, or ends. The answer goes the same way."""
    # Nobody else has it open then, so that its end is this process's.
    lifeline = socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    server = ServerThread(settings, side_door=True)
    try:
        answer: Started | EmulatorError = server.start()
    except EmulatorError as error:
        answer = EmulatorError(str(error))  # without its cause, which need not be picklable
    sent = pickle.dumps(answer)
    with suppress(ConnectionError):  # the parent has hung up, without waiting for the answer
        lifeline.sendall(b"%d\n%b" % (len(sent), sent))
        if isinstance(answer, Started):
            lifeline.recv(1)
    server.stop()
    lifeline.close()
