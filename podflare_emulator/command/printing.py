"""What the command says, and how it refuses."""

import os
import sys

PROGRAM = "podflare-emulator"


def say(text: str) -> None:
    try:
        print(text, flush=True)  # noqa: T201 (the command's output)
    except OSError:
        # Nobody reads it: no reason to stop serving. Python flushes once more at exit, and would fail then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def refuse(message: str) -> int:
    """One line on stderr; returns the status that goes with it."""
    print(f"{PROGRAM}: {one_line(message)}", file=sys.stderr)  # noqa: T201
    return 2


def one_line(message: str) -> str:
    return " ".join(message.split())
