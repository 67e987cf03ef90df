"""The output and the error messages of the command."""

import os
import sys
from typing import TextIO

PROGRAM = "podflare-emulator"


def say(text: str) -> None:
    """Print on stdout, at once. Nobody may be reading: that is no reason to stop, or to end with another status."""
    problem = _write(f"{text}\n", sys.stdout)
    if problem and not isinstance(problem, BrokenPipeError):
        complain(f"cannot write the output: {problem.strerror}")


def complain(message: str) -> None:
    """Print one line on stderr."""
    _write(f"{PROGRAM}: {one_line(message)}\n", sys.stderr)


def refuse(message: str) -> int:
    """Print one line on stderr. Returns the exit status for it."""
    complain(message)
    return 2


def one_line(message: str) -> str:
    return " ".join(message.split())


def _write(text: str, stream: TextIO | None) -> OSError | None:
    """The error that there was; the stream leads nowhere from then on."""
    if stream is None:  # closed by who has started this process
        return None
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        # Python writes the rest again at exit, and would fail then.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return error
    return None
