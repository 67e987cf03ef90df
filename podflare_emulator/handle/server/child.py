"""What the server's process does, when there is one: it serves until whoever has started it wants no more."""

from __future__ import annotations

import os
import pickle
from typing import IO

from podflare_emulator.handle.server.started import Started
from podflare_emulator.handle.server.thread import ServerThread
from podflare_emulator.vocabulary.errors import EmulatorError


def serve(commands: IO[bytes]) -> None:
    """Until `commands`, which begins with the settings, has one more byte, or ends. Answers by standard output."""
    # Nobody else has it open, so that its end is this process's; and nothing that is printed gets into the answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
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
