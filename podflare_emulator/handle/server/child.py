"""The main function of a server process, which serves until its parent hangs up."""

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
    """Serves until standard input, a socket, delivers a byte or ends; reports the start over the same socket."""
    # Moved off descriptor 0, so that no other process has it open, and it closes when this one ends.
    lifeline = socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    server = ServerThread(settings, side_door=True)
    try:
        answer: Started | EmulatorError = server.start()
    except EmulatorError as error:
        answer = EmulatorError(str(error))  # without its cause, which need not be picklable
    sent = pickle.dumps(answer)
    with suppress(ConnectionError):  # the parent hung up without waiting for the answer
        lifeline.sendall(b"%d\n%b" % (len(sent), sent))
        if isinstance(answer, Started):
            lifeline.recv(1)
    server.stop()
    lifeline.close()
