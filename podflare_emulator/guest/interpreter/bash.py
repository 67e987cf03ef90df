"""bash: a fresh process each time, which writes to the sandbox's own pipes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence

from ..system import imports
from ..system.siblings import threads
from . import waiting

_LONGEST_ARGUMENT = 120_000  # bytes; the kernel's limit for one argument is 128 KiB
_RESET = [getattr(signal, name) for name in ("SIGPIPE", "SIGXFZ", "SIGXFSZ") if hasattr(signal, name)]
_OPEN = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"

# The originals: by the time bash is started, the portable backend has replaced these functions in `os`.
_access, _chdir, _fchdir, _listdir, _open, _posix_spawn = (
    *(os.access, os.chdir, os.fchdir),
    *(os.listdir, os.open, os.posix_spawn),
)


@imports.own()
def run(code: str, environment: dict[str, str], directory: str, interrupted: Callable[[], bool]) -> int:
    """Runs bash and waits for it; returns the exit code as a shell would report it.

    It does not wait for processes in the background, except those that only have to print their last lines
    (remainders.py). `interrupted` tells whether the interrupt came before there was a bash to receive it.
    """
    if "\0" in code or len(code.encode("utf-8", "surrogateescape")) > _LONGEST_ARGUMENT:
        with _script(code) as descriptor:
            return _run([f". /dev/fd/{descriptor}"], environment, directory, [descriptor], interrupted)
    return _run([code], environment, directory, [], interrupted)


@contextlib.contextmanager
def _script(code: str) -> Iterator[int]:
    import tempfile  # seldom needed, and every fork has to copy what is loaded here

    with tempfile.TemporaryFile() as file:
        os.fchmod(file.fileno(), 0o600)  # fakechroot does not pass on the mode of a file without a name
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
    command = ["bash", "-c", *words, "bash"]
    try:
        code = waiting.run(lambda: _start(command, environment, directory, descriptors), interrupted)
    except OSError as error:
        os.write(2, f"bash could not be started: {not_found(environment['PATH']) or error}\n".encode())
        return 127
    return 128 - code if code < 0 else code


def not_found(path: str) -> str:
    """An error message if there is no bash in these directories, else ""."""
    if any(_access(f"{directory}/bash", os.X_OK) for directory in path.split(os.pathsep)):
        return ""
    return (
        f"bash is not installed: it is in none of {path}. Install it where the emulator runs "
        "(in Alpine: apk add bash), or in the tree of --rootfs"
    )


def _start(
    command: list[str], environment: dict[str, str], directory: str, descriptors: Sequence[int]
) -> int:
    """Like `subprocess`, but faster; the process leads a new process group. Raises OSError."""
    here = _here() if threads() == 1 else None
    if here is None:
        return _start_beside_threads(command, environment, directory, descriptors)
    try:
        for number in descriptors:
            os.set_inheritable(number, True)
        actions: list[tuple[int, int, str, int, int] | tuple[int, int]] = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        ]
        actions += [(os.POSIX_SPAWN_CLOSE, number) for number in _inherited() if number not in descriptors]
        program = _find(command[0], environment["PATH"])
        _chdir(directory)  # posix_spawn has no argument for it
        try:
            return _posix_spawn(
                program, command, environment, file_actions=actions, setpgroup=0, setsigdef=_RESET
            )
        finally:
            _fchdir(here)
    finally:
        os.close(here)


def _here() -> int | None:
    """A descriptor of the working directory, if this process can return to it."""
    try:
        here = _open(".", getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        _fchdir(here)
    except OSError:
        os.close(here)
        return None
    return here


def _inherited() -> Iterator[int]:
    """The descriptors beyond the standard streams that a program would inherit."""
    for number in map(int, _listdir(_OPEN)):
        with contextlib.suppress(OSError):  # the descriptor of the listing
            if number > 2 and os.get_inheritable(number):
                yield number


def _find(name: str, path: str) -> str:
    for directory in path.split(os.pathsep):
        if _access(f"{directory}/{name}", os.X_OK):
            return f"{directory}/{name}"
    raise FileNotFoundError(2, "No such file or directory", name)


def _start_beside_threads(
    command: list[str], environment: dict[str, str], directory: str, descriptors: Sequence[int]
) -> int:
    """Starts a program without changing this process's working directory, which its threads share."""
    from subprocess import DEVNULL, Popen

    own_group: dict[str, object] = (
        {"process_group": 0} if sys.version_info >= (3, 11) else {"preexec_fn": os.setpgrp}
    )
    process = Popen(
        command,
        stdin=DEVNULL,
        cwd=directory,
        env=environment,
        pass_fds=descriptors,
        **own_group,  # type: ignore[call-overload]
    )
    process.returncode = 0  # other code waits for it
    return int(process.pid)
