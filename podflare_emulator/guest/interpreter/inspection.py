"""Answers questions of a test's author without running code in the sandbox: about its files, and its REPL's names.

The calls go to `posix`: a backend may have replaced functions of `os`.
"""

from __future__ import annotations

import binascii
import contextlib
import errno
import gc
import posix
import signal
import stat
from collections.abc import Callable, Sequence
from itertools import islice
from select import POLLIN, poll
from typing import Any

from ..files.contents import printable
from ..files.cursor import VANISHED, Cursor, staying
from ..files.seeding import make_directories
from ..jail.interface import Jail
from ..protocol import Message
from ..system.siblings import fork_siblings

_PIECE = 1 << 23  # bytes of a file in one message
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC
# Opening a pipe must not wait for its other end.
_AT_ONCE = posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY

_WIDTH = 80  # characters of an object's description
_DEPTH = 3
_PATIENCE = 1.0  # seconds that one object may take to describe itself
_MOST_FAILURES = 5
_NO_DESCRIPTION = "<its repr did not return>"
_NOT_ASKED = "<its repr was not called: too many others did not return>"
_MOST = 30  # items of a container: there is no room for more
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    dict: ("{", "}"),
}
_name_of: Any = type.__dict__["__name__"].__get__  # does not call the user's metaclass


def answer(jail: Jail, names: dict[str, Any], flush: Callable[[], None], question: Message) -> Message:
    """The answer to a question, or `failed`, the reason. `names` are the REPL's; `flush` flushes its output."""
    root = jail.root.rstrip("/")
    try:
        match question["about"]:
            case "read":
                return _read(root + question["path"], question["offset"])
            case "write":
                return _write(root, question["path"], question["base64"], question["append"])
            case "list":
                with staying():
                    return {"entries": _entries(root, question["path"], jail.mounts)}
            case _:
                flush()  # otherwise the forked process would print it too
                return {"globals": _globals(names, root)}
    except (OSError, ValueError) as error:  # ValueError: the path has a NUL byte
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return {"failed": f"{question.get('path', 'globals')}: {reason}"}


def _read(path: str, offset: int) -> Message:
    descriptor = _open(path, posix.O_RDONLY)
    try:
        data = bytearray()
        while len(data) < _PIECE and (
            more := posix.pread(descriptor, _PIECE - len(data), offset + len(data))
        ):
            data += more
    finally:
        posix.close(descriptor)
    return {"base64": binascii.b2a_base64(data, newline=False).decode(), "end": len(data) < _PIECE}


def _write(root: str, path: str, base64: str, append: bool) -> Message:
    """Writes or creates a file; an existing one keeps its mode."""
    make_directories(root, path)
    try:
        descriptor = posix.open(root + path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | _AT_ONCE, 0o644)
        posix.fchmod(descriptor, 0o644)  # whatever the user's umask is
    except FileExistsError:
        descriptor = _open(root + path, posix.O_WRONLY | (posix.O_APPEND if append else posix.O_TRUNC))
    try:
        left = memoryview(binascii.a2b_base64(base64))
        while left:
            left = left[posix.write(descriptor, left) :]
    finally:
        posix.close(descriptor)
    return {"written": True}


def _open(path: str, flags: int) -> int:
    descriptor = posix.open(path, flags | _AT_ONCE)
    mode = posix.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    posix.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory")
    raise OSError(errno.EINVAL, "Not a regular file")


def _entries(root: str, path: str, mounts: frozenset[str]) -> list[tuple[str, str, int, str | None]]:
    """Path, type, size and target of every entry below `path`, except the system's; parents come before children."""
    top = posix.open(root + path, _DIRECTORY)
    entries = []
    cursor = Cursor(top)
    try:
        levels = [_names(cursor)]
        while levels:
            if not levels[-1]:
                levels.pop()
                if levels:
                    cursor.up()
                continue
            name = levels[-1].pop()
            inner = f"{path.rstrip('/')}/{cursor.path(name)}"
            if inner[1:] in mounts:
                continue
            try:
                status = posix.stat(name, dir_fd=cursor.fd, follow_symlinks=False)
                kind, target = _kind(status.st_mode), None
                if kind == "link":
                    target = printable(posix.readlink(name, dir_fd=cursor.fd).removeprefix(root))
                size = status.st_size if kind == "file" else 0
                entries.append((printable(inner), kind, size, target))
                if kind == "directory":
                    cursor.down(name)
                    levels.append(_names(cursor))
            except OSError as error:
                # A directory that may not be read is skipped.
                if error.errno not in (*VANISHED, errno.EACCES):
                    raise
    finally:
        cursor.close()
        posix.close(top)
    return entries


def _names(cursor: Cursor) -> list[str]:
    """The names in the directory, in reverse order: the last is processed first."""
    with posix.scandir(cursor.fd) as listing:
        return sorted((entry.name for entry in listing), reverse=True)


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"


def _globals(names: dict[str, object], hidden: str) -> list[tuple[str, str, str]]:
    """Name, type and description of the user's variables. `hidden` is removed from the text, as it is from output."""
    user = [
        (name, value)
        for name, value in names.copy().items()
        if type(name) is str and not (name.startswith("__") and name.endswith("__"))
    ]
    descriptions = _descriptions([value for _, value in user], hidden)
    return [
        (_sendable(name), _sendable(_name_of(type(value))), description)
        for (name, value), description in zip(user, descriptions, strict=True)
    ]


def _descriptions(values: Sequence[object], hidden: str) -> list[str]:
    told: list[str] = []
    failures = 0
    while len(told) < len(values):
        if failures == _MOST_FAILURES:
            told.append(_NOT_ASKED)
            continue
        told += _told_elsewhere(values[len(told) :], hidden)
        if len(told) < len(values):
            told.append(_NO_DESCRIPTION)
            failures += 1
    return told


def _told_elsewhere(values: Sequence[object], hidden: str) -> list[str]:
    """Descriptions from the first value on, up to one whose `repr` does not return.

    `repr` runs user code. It runs in a forked process, where it may print, hang, end the process or change anything.
    """
    reading, writing = posix.pipe()
    try:
        if fork_siblings(1) is not None:
            try:
                _tell(values, hidden, writing)
            finally:
                posix._exit(0)
    except OSError:
        posix.close(reading)
        raise
    finally:
        posix.close(writing)
    try:
        pid, *lines = _lines(reading)
        _await_end(int(pid))
        return [line.decode() for line in lines]
    finally:
        posix.close(reading)


def _tell(values: Sequence[object], hidden: str, writing: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the kernel ends this process if a `repr` takes too long
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    gc.disable()  # a collection would copy memory that the two processes share
    posix.write(writing, b"%d\n" % posix.getpid())
    null = posix.open("/dev/null", posix.O_RDWR)
    for number in (0, 1, 2):
        posix.dup2(null, number)
    for value in values:
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        left = _description(value, hidden).encode() + b"\n"
        while left:
            left = left[posix.write(writing, left) :]


def _lines(reading: int) -> list[bytes]:
    """Reads lines until the writers are gone, or have been silent for longer than they may."""
    said = bytearray()
    waiting = poll()
    waiting.register(reading, POLLIN)
    while waiting.poll(2000 * _PATIENCE) and (data := posix.read(reading, 1 << 16)):
        said += data
    return bytes(said).split(b"\n")[:-1] or [b"0"]


def _await_end(pid: int) -> None:
    """Waits for the process: otherwise a fork right after this would report it as left behind."""
    with contextlib.suppress(OSError, AttributeError):  # it is gone, or this is not Linux
        ending = posix.pidfd_open(pid)
        try:
            waiting = poll()
            waiting.register(ending, POLLIN)
            waiting.poll(1000 * _PATIENCE)
        finally:
            posix.close(ending)


def _description(value: object, hidden: str) -> str:
    """A description in one line."""
    try:
        text = " ".join(str.split(_short(value, 0)))
        text = text.replace(f"{hidden}/", "/").replace(hidden, "/") if hidden else text
    except BaseException as error:
        text = f"<its repr raised {_name_of(type(error))}>"
    return _sendable(text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}...")


def _short(value: Any, depth: int) -> str:
    """Like `repr`, but only for the beginning of a large value: the rest would be cut off anyway."""
    kind = type(value)
    if kind in (str, bytes, bytearray):
        return repr(value[:_WIDTH])
    if kind not in _BRACKETS or not value:
        return repr(value)
    first, last = _BRACKETS[kind]
    if depth == _DEPTH:
        inner = "..."
    elif kind is dict:
        pairs = islice(value.items(), _MOST)
        inner = ", ".join(f"{_short(key, depth + 1)}: {_short(item, depth + 1)}" for key, item in pairs)
    else:
        inner = ", ".join(_short(item, depth + 1) for item in islice(value, _MOST))
        if kind is tuple and len(value) == 1:
            inner += ","
    return f"{first}{inner}{last}"


def _sendable(text: str) -> str:
    """Writes lone surrogates as escapes, because UTF-8 cannot encode them."""
    return text.encode("utf-8", "backslashreplace").decode()
