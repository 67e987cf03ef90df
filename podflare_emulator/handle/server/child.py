"""The main function of a server process, which serves until its parent hangs up."""

from __future__ import annotations

import atexit
import gc
import os
import pickle
import sys
from contextlib import suppress
from socket import socket

from podflare_emulator.handle.server.beginning import begin
from podflare_emulator.handle.server.started import Started
from podflare_emulator.vocabulary.errors import EmulatorError
from podflare_emulator.vocabulary.settings import Settings


def serve(settings: Settings, entries: list[str]) -> None:
    """Serves until standard input, a socket, delivers a byte or ends; reports the start over the same socket.

    `entries`: sys.path as the interpreter made it. Does not return.
    """
    # Moved off descriptor 0, so that no other process has it open, and it closes when this one ends.
    lifeline = socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    begun = begin(settings, entries)
    # While the warden starts.
    from podflare_emulator.handle.server.thread import ServerThread

    server = ServerThread(settings, side_door=True, entries=entries, begun=begun)
    try:
        answer: Started | EmulatorError = server.start()
    except EmulatorError as error:
        answer = EmulatorError(str(error))  # without its cause, which need not be picklable
        if begun:
            begun.close()
    sent = pickle.dumps(answer)
    with suppress(ConnectionError):  # the parent hung up without waiting for the answer
        lifeline.sendall(b"%d\n%b" % (len(sent), sent))
        if isinstance(answer, Started):
            gc.freeze()  # what the start has made stays
            gc.enable()
            lifeline.recv(1)
    server.stop()
    leave()


def leave() -> None:
    """Ends this process without taking the interpreter apart, for which the parent would wait 20 ms."""
    atexit._run_exitfuncs()  # of tracing, or of a tool that measures coverage
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)
