"""Commands that a test answers: small programs, first on the sandbox's PATH, that print the test's answers.

They are shell scripts, made from the host's table of answers, so they do not need the sandbox's Python. Each answered
call creates a file with its arguments, and so claims its number: an entry of the table may hold for a limited number of
calls, and these may come at the same time. Calls go to `posix`: a backend may have replaced functions of `os`.
"""

from __future__ import annotations

import contextlib
import posix
import shlex
from collections.abc import Iterator

from ..files.base import STUBS
from ..protocol import Message

_CALLS = f"{STUBS}/calls"

_BEGINNING = """\
#!/bin/sh
# Replaces a command that a test answers: Emulator.stub_command. No function sets a variable in this shell: the real
# command must get the caller's variables. `command -p`: the system's command, whatever the sandbox's PATH is.
claim() (  # for entry $1, which holds for $2 calls ("": any number); then the arguments. Returns 9 if it is used up
    trap '' XFSZ  # at the limit of file sizes the arguments are lost, but not the answer
    call=${0%/*}/calls/$1 most=$2 number=0
    shift 2
    set -C
    while [ "$number" != "$most" ]; do
        number=$((number + 1))
        [ -e "$call.$number" ] && continue
        if { : > "$call.$number"; } 2> /dev/null; then
            { printf '%s\\000' "$0" "$@" >| "$call.$number"; } 2> /dev/null
            return 0
        fi
        [ -e "$call.$number" ] || return 0  # the file cannot be created: the call is answered anyway
    done
    return 9
)
pause() {  # a shell that gets a signal just as it starts a command waits for its end: so this one waits in `wait`
    trap 'kill $! 2> /dev/null; trap - INT; kill -INT $$' INT
    trap 'kill $! 2> /dev/null; trap - TERM; kill -TERM $$' TERM
    command -p sleep "$1" &
    wait $!
}
"""

# If something else fails (the shell cannot fork, or was killed), the real command must not run instead.
_ENTRY = """\
case "$*" in *{match}*)
claim {number} '{left}' "$@"
case $? in
0)
{steps}exit {exit_code} ;;
9) ;;
*) echo "$0: the test's answer failed, and the real command does not run instead" >&2; exit 126 ;;
esac ;;
esac
"""

_END = """\
real() (
    set -f
    IFS=:
    for directory in $PATH; do
        program=${{directory:-.}}/{command}
        [ -f "$program" ] && [ -x "$program" ] && ! [ "$program" -ef "$0" ] && printf %s "$program" && return
    done
)
set -- "$(real)" "$@"
[ -n "$1" ] && exec "$@"
echo "{command}: command not found" >&2
exit 127
"""


class Commands:
    """The commands of one sandbox. `wanted`: a new table, which must be in force before code runs; or None."""

    def __init__(self) -> None:
        self.wanted: list[Message] | None = None
        self._are_there = False
        self._unreported: list[tuple[int, list[str]]] = []

    def arrange(self, root: str) -> None:
        """Writes the wanted commands below `root`; raises OSError."""
        if self.wanted is None:
            return
        root = root.rstrip("/")
        self._collect(root)
        _remove(root + _CALLS)
        _remove(root + STUBS)
        self._are_there = bool(self.wanted)
        if self._are_there:
            for directory in (STUBS, _CALLS):
                posix.mkdir(root + directory)
                # Whatever the umask is: otherwise another user would run the real command.
                posix.chmod(root + directory, 0o755)
            posix.chmod(root + _CALLS, 0o777)  # all callers create files there
        scripts: dict[str, list[Message]] = {}
        for entry in self.wanted:
            scripts.setdefault(entry["command"], []).append(entry)
        for command, entries in scripts.items():
            script = f"{root}{STUBS}/{command}"
            _write(script, _script(command, entries))
            if not posix.access(script, posix.X_OK):  # a shell would skip it, and run the real command
                raise OSError(
                    "the temp directory is mounted noexec, so no program in it can run; give the emulator "
                    "another, such as TMPDIR=/var/tmp"
                )
        self.wanted = None

    def report(self, root: str) -> Message:
        """The calls since the last report, for the host."""
        self._collect(root.rstrip("/"))
        calls, self._unreported = self._unreported, []
        return {"called": calls} if calls else {}

    def forget(self, root: str) -> None:
        """The sandbox's files are a copy of another's, which will report the calls that it has answered."""
        self._are_there = posix.access(root.rstrip("/") + _CALLS, posix.F_OK)
        self.report(root)

    def _collect(self, root: str) -> None:
        if not self._are_there:
            return
        for number, _, name in sorted(_calls(root + _CALLS)):
            with contextlib.suppress(OSError):  # user code may have removed it
                words = _take(f"{root}{_CALLS}/{name}")
                if words:
                    self._unreported.append((number, words[1:]))


def _script(command: str, entries: list[Message]) -> str:
    answers = [
        _ENTRY.format(
            match=shlex.quote(entry["match"]),
            number=entry["number"],
            left="" if entry["left"] is None else entry["left"],
            steps="".join(_step(*step) for step in entry["steps"]),
            exit_code=entry["exit_code"],
        )
        for entry in entries
    ]
    return "".join([_BEGINNING, *answers, _END.format(command=command)])


def _step(pause: float, stream: str, lines: list[str]) -> str:
    waits = f"pause {pause:.3f}\n" if pause else ""
    where = " >&2" if stream == "stderr" else ""
    says = "printf '%s\\n' {}{}\n".format(shlex.quote("\n".join(lines)), where) if lines else ""
    return waits + says


def _calls(directory: str) -> Iterator[tuple[int, int, str]]:
    """For each call: the entry's number, the number of the call, and the file's name."""
    with contextlib.suppress(OSError):  # user code has removed it
        for name in posix.listdir(directory):
            entry, _, number = name.partition(".")
            if entry.isdigit() and number.isdigit():
                yield int(entry), int(number), name


def _remove(directory: str) -> None:
    # User code may have removed or replaced it.
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in posix.listdir(directory):
            posix.unlink(f"{directory}/{name}")
        posix.rmdir(directory)


def _write(path: str, text: str) -> None:
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL, 0o755)
    try:
        posix.fchmod(descriptor, 0o755)
        data = text.encode("utf-8", "replace")
        while data:
            data = data[posix.write(descriptor, data) :]
    finally:
        posix.close(descriptor)


def _take(path: str) -> list[str]:
    """Reads and empties a call's file; returns its words, or none if it is already empty or still being written."""
    descriptor = posix.open(path, posix.O_RDWR)
    try:
        data = posix.read(descriptor, posix.fstat(descriptor).st_size)
        if not data.endswith(b"\0"):
            return []
        posix.ftruncate(descriptor, 0)
        return [word.decode("utf-8", "replace") for word in data[:-1].split(b"\0")]
    finally:
        posix.close(descriptor)
