"""The output and the error messages of the command."""

import os
import sys

PROGRAM = "podflare-emulator"


def say(text: str) -> None:
    try:
        print(text, flush=True)  # noqa: T201 (the command's output)
    except OSError:
        # Nobody reads the output: that is no reason to stop serving. Python flushes again at exit, and would fail then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def refuse(message: str) -> int:
    """Print one line on stderr. Returns the exit status for it."""
    print(f"{PROGRAM}: {one_line(message)}", file=sys.stderr)  # noqa: T201
    return 2


def one_line(message: str) -> str:
    return " ".join(message.split())
