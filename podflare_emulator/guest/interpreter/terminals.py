"""Terminals: a program on its own pseudo-terminal, which runs in parallel with the REPL."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable

from ..jail.interface import Jail
from ..protocol import Message
from ..system import imports
from ..system.siblings import fork_siblings
from . import bash

_TERM = "xterm-256color"


@imports.own()
def start(
    jail: Jail, variables: dict[str, str], order: Message, restrict: Callable[[], None]
) -> tuple[Message, list[int]]:
    """Starts the program of `order`. Returns the answer, and a descriptor of the terminal if it was started.

    `variables`: those that the test's author has put into the sandbox's environment. `restrict` sets the limits of the
    user's programs. `order`: `shell`, a command for `bash -lc`, or `argv`; `cols` and `rows`; `env`, pairs; `cwd` or
    None. In the answer, `pid` is the leader of the
    terminal's session, or `failed` is the reason why there is none. The program is not a child of this process:
    `os.wait()` in user code does not find it.
    """
    import fcntl
    import struct
    import termios  # few sandboxes need it, and every fork has to copy what is loaded here

    try:
        ours, theirs = os.openpty()
    except OSError as error:
        return {"failed": f"no terminal is available: {error.strerror}"}, []
    reading, writing = os.pipe()  # for the child's pid, which forking a sibling does not return
    try:
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", order["rows"], order["cols"], 0, 0))
        if fork_siblings(1) is not None:
            _become(jail, variables, order, restrict, theirs, writing)
        os.close(writing)
        writing = -1
        pid = int(os.read(reading, 32) or b"0")
        if not pid:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    except OSError as error:
        os.close(ours)
        return {"failed": f"no process can be started: {error.strerror}"}, []
    finally:
        for number in (theirs, reading, writing):
            if number >= 0:
                os.close(number)
    return {"pid": pid}, [ours]


def _become(
    jail: Jail,
    variables: dict[str, str],
    order: Message,
    restrict: Callable[[], None],
    terminal: int,
    writing: int,
) -> None:
    """In the child. Does not return."""
    import fcntl
    import termios

    try:
        os.setsid()
        os.write(writing, str(os.getpid()).encode())
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        for number in (0, 1, 2):
            os.dup2(terminal, number, inheritable=True)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        restrict()
        for number in signal.valid_signals():
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        environment = {**jail.variables(), **variables, "TERM": _TERM, **dict(order["env"])}
        argv = order["argv"] or ["bash", "-lc", _shell(jail, order["shell"], environment["PATH"])]
        os.chdir(order["cwd"] or "/root")
        if not order["argv"] and (missing := bash.not_found(environment["PATH"])):
            raise FileNotFoundError(missing)
        os.execvpe(argv[0], argv, environment)
    except BaseException as error:
        reason = getattr(error, "strerror", None) or str(error)
        os.write(2, f"podflare: the program cannot be started: {reason}\n".encode("utf-8", "replace"))
    finally:
        os._exit(127)


def _shell(jail: Jail, command: str, path: str) -> str:
    """If /etc is the host's, a login shell reads the host's profile, which sets another PATH: this sets it again."""
    return f"export PATH='{path}'; {command}" if jail.prefix else command
