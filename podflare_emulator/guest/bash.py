"""bash: a fresh process each time, writing into the sandbox's own pipes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from subprocess import DEVNULL, Popen

_LONGEST_ARGUMENT = 120_000  # bytes; the kernel's limit for one argument is 128 KiB

if sys.version_info >= (3, 11):
    _OWN_GROUP: dict[str, object] = {"process_group": 0}
else:
    _OWN_GROUP = {"preexec_fn": os.setpgrp}


def run(code: str, environment: dict[str, str], directory: str, interrupted: Callable[[], bool]) -> int:
    """Waits for bash, not for what it leaves in the background; returns the exit code as a shell would tell it.

    `interrupted` tells whether the interrupt came before there was a bash that it could reach.
    """
    if "\0" in code or len(code.encode("utf-8", "surrogateescape")) > _LONGEST_ARGUMENT:
        with _script(code) as descriptor:
            return _run([f". /dev/fd/{descriptor}"], environment, directory, [descriptor], interrupted)
    return _run([code], environment, directory, [], interrupted)


@contextlib.contextmanager
def _script(code: str) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        os.fchmod(file.fileno(), 0o600)  # fakechroot passes no mode on for a file without a name
        file.write(code.encode("utf-8", "surrogateescape"))
        file.flush()
        yield file.fileno()


def _run(
    words: list[str],
    environment: dict[str, str],
    directory: str,
    descriptors: list[int],
    interrupted: Callable[[], bool],
) -> int:
    try:
        process = Popen(
            ["bash", "-c", *words, "bash"],
            stdin=DEVNULL,
            cwd=directory,
            env=environment,
            pass_fds=descriptors,
            **_OWN_GROUP,  # type: ignore[call-overload]
        )
    except OSError as error:
        os.write(2, f"bash could not be started: {error}\n".encode())
        return 127
    code = _wait(process, interrupted)
    return 128 - code if code < 0 else code


def _wait(process: subprocess.Popen[bytes], interrupted: Callable[[], bool]) -> int:
    previous = signal.signal(signal.SIGINT, lambda *_: _interrupt(process.pid))
    try:
        if interrupted():
            _interrupt(process.pid)
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if previous is None else previous)


def _interrupt(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGINT)
