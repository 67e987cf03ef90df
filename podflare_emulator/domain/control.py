"""What the author of a test may do to the emulator and no client of the service can.

Arguments and results are what JSON can carry: the control API offers each call to tests in other languages, and to
the handle of a server in another process.
"""

from __future__ import annotations

import posixpath
import re
from base64 import b64decode
from collections.abc import Collection
from dataclasses import asdict
from typing import Any, Protocol

from podflare_emulator.answers import Answer, Output, check_seconds
from podflare_emulator.domain.commands import BUILTINS, CommandStub
from podflare_emulator.domain.errors import InvalidRequest, SandboxNotFound
from podflare_emulator.domain.fault_control import Door, FaultControl
from podflare_emulator.domain.faults import Faults
from podflare_emulator.domain.inspection import inspect
from podflare_emulator.domain.registry import SandboxRegistry
from podflare_emulator.domain.stubs import Stub
from podflare_emulator.kept_log import LEVELS, KeptLog
from podflare_emulator.lineage import Tree
from podflare_emulator.settings import sandbox_path

_COMMAND = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


class Requests(Protocol):
    """What clients have asked for, as whoever serves them records it."""

    def described(self) -> list[dict[str, Any]]: ...

    def clear(self) -> None: ...


class Control(FaultControl):
    def __init__(self, registry: SandboxRegistry, requests: Requests, faults: Faults, door: Door) -> None:
        self._registry = registry
        self._kept_log = KeptLog()
        self._requests = requests
        super().__init__(faults, door)

    def close(self) -> None:
        """The server ends: what belongs to the whole process is as it was."""
        self._kept_log.drop()
        self._faults.clear()

    async def reset(self, keep: Collection[str] = ()) -> list[str]:
        """Destroys every sandbox but those to `keep`; returns the ids of the destroyed, oldest first.

        What was arranged for sandboxes to come is forgotten, and so is what has happened.
        """
        self._registry.seeds.clear()
        self._registry.stubs.clear()
        self._registry.commands.clear()
        self._registry.arrange_egress(True)
        self._faults.clear()
        destroyed = await self._registry.destroy_all(keep)
        self._registry.ledger.clear()
        self._kept_log.drop()
        self._registry.ids.restart()
        self._requests.clear()
        return destroyed

    async def requests(self) -> list[dict[str, Any]]:
        """Every request to the service since the last reset, in the order in which they came."""
        return self._requests.described()

    async def execs(self) -> list[dict[str, Any]]:
        """Every exec since the last reset, in the order in which they started."""
        return self._registry.ledger.execs()

    async def forks(self) -> list[dict[str, Any]]:
        """Every fork since the last reset: `parent`, `children`, `at` (ms), and its `number` in the journal."""
        return self._registry.ledger.forks()

    async def merges(self) -> list[dict[str, Any]]:
        """Every merge since the last reset: `parent`, `winner`, `at` (ms), and its `number` in the journal."""
        return self._registry.ledger.merges()

    async def sandboxes(self) -> list[dict[str, Any]]:
        """Every sandbox that something has happened to since the last reset, oldest first, and what became of it."""
        return self._registry.lives()

    async def tree(self) -> dict[str, str]:
        """The same as a drawing: as `text`, and for `mermaid`."""
        tree = Tree.of(self._registry.lives())
        return {"text": str(tree), "mermaid": tree.mermaid()}

    async def read_file(self, sandbox: str, path: str, offset: int = 0) -> dict[str, Any]:
        """A piece of a file, from `offset` on: `base64`, and whether it is the `end`."""
        if type(offset) is not int or offset < 0:
            raise InvalidRequest(f"offset: expected 0 or more, got {offset!r}")
        return await self._inspect(sandbox, about="read", path=_absolute(path), offset=offset)

    async def write_file(self, sandbox: str, path: str, base64: str, append: bool = False) -> None:
        """Writes a file, folders included; a large one in several calls, with `append` from the second on."""
        try:
            path = sandbox_path(_absolute(path))
            b64decode(base64, validate=True)
        except (TypeError, ValueError) as error:  # a SettingsError is a ValueError
            raise InvalidRequest(f"{path}: {error}") from None
        await self._inspect(sandbox, about="write", path=path, base64=base64, append=bool(append))

    async def list_files(self, sandbox: str, path: str = "/root") -> dict[str, Any]:
        """`entries`: all below a folder, each with `path`, `type`, `size` and a link's `target`; `top`: the folder."""
        top = _absolute(path)
        found = await self._inspect(sandbox, about="list", path=top)
        names = ("path", "type", "size", "target")
        return {"top": top, "entries": [dict(zip(names, entry, strict=True)) for entry in found["entries"]]}

    async def read_globals(self, sandbox: str) -> dict[str, dict[str, str]]:
        """The names of a sandbox's REPL: of each the `type` and a short `repr`."""
        found = await self._inspect(sandbox, about="globals")
        return {name: {"type": kind, "repr": shown} for name, kind, shown in found["globals"]}

    async def _inspect(self, sandbox: str, **question: Any) -> dict[str, Any]:
        try:
            return await inspect(self._registry.get(sandbox), question)
        except SandboxNotFound:
            raise SandboxNotFound(self._registry.ledger.absence(sandbox)) from None

    async def lasting_ids(self, lasting: bool) -> None:
        """While it is so, sandboxes are made that are to be kept at a reset, and take no ids from the tests'."""
        self._registry.ids.lasting = lasting

    async def clear_files(self) -> None:
        """Sandboxes created from now on have none."""
        self._registry.seeds.clear()

    async def add_files(self, files: list[dict[str, Any]]) -> None:
        """Every sandbox created from now on has these: each an absolute `path`, a `mode`, its content in `base64`."""
        try:
            decoded = [
                (
                    sandbox_path(file["path"]),
                    int(file.get("mode", 0o644)),
                    b64decode(file["base64"], validate=True),
                )
                for file in files
            ]
        except (KeyError, TypeError, ValueError) as error:  # a SettingsError is a ValueError
            raise InvalidRequest(f"files: expected path, mode and base64 of each: {error}") from None
        for path, mode, data in decoded:
            self._registry.seeds.add(path, mode, data)

    async def keep_log(self, level: str) -> None:
        """Keeps the lines that are logged from now on: those from this level on, `error`, `warning` or `info`."""
        if level not in LEVELS:
            raise InvalidRequest(f"level: expected {', '.join(LEVELS)}, got {level!r}")
        self._kept_log.keep(level)

    async def log(self) -> list[str]:
        """The newest of the lines kept, oldest first."""
        return list(self._kept_log.lines)

    async def set_egress(self, allowed: bool) -> None:
        """False: no sandbox created from now on reaches the network, whatever its create asks for.

        Refused where the isolation cannot see to that.
        """
        self._registry.arrange_egress(allowed)

    async def add_stub(
        self,
        pattern: str | None = None,
        flags: int = 0,
        language: str | None = None,
        stdout: Output = "",
        stderr: Output = "",
        exit_code: int = 0,
        delay: float = 0,
        raises: str | None = None,
        asks: bool = False,
        times: int | None = None,
        default: bool = False,
        label: str | None = None,
    ) -> int:
        """Execs in whose code the regular expression `pattern` is found are answered with this; returns its number.

        Without a pattern, whoever takes `next_question` is asked which execs match. `asks`: it is asked for the answer
        too. `raises`: what the exec fails with instead. `label`: what the journal calls it.
        """
        if language not in (None, "python", "bash"):
            raise InvalidRequest(f"language: expected python or bash, got {language!r}")
        answer = _answer(stdout, stderr, exit_code, delay, times)
        if (raises is not None or asks) and (answer != Answer() or (asks and raises is not None)):
            given = "answer" if asks else "raises"
            raise InvalidRequest(f"{given}: give it alone, instead of stdout, stderr and exit_code")
        try:
            compiled = None if pattern is None else re.compile(pattern, flags)
        except (re.error, TypeError, ValueError) as error:
            raise InvalidRequest(f"pattern: no regular expression: {error}") from None
        stub = Stub(
            label or str(pattern),
            compiled,
            language,
            None if asks or raises is not None else answer,
            raises,
            delay,
            times,
            default,
        )
        return self._registry.stubs.add(stub)

    async def stubs_used(self) -> list[tuple[int, int]]:
        """The number of each stub, and how often it has answered."""
        return self._registry.stubs.used()

    async def leave_only_default_stubs(self, only: bool) -> None:
        """True: none answers that is no default, of execs and of commands, until this is called with false."""
        self._registry.stubs.only_defaults = only
        self._registry.commands.leave_only_defaults(only)

    async def next_question(self, stub: int) -> dict[str, Any] | None:
        """Waits until an exec is to be decided by this stub's functions; None when the stub is gone.

        `question` is its number, `asks` is "match" or "answer", `code`, `language` and `sandbox` are the exec's.
        """
        return await self._registry.stubs.questions.next(stub)

    async def reply(self, question: int, result: Any = None, error: str | None = None) -> None:
        """To `asks: match` true or false, to `asks: answer` an object of stdout, stderr and exit_code.

        With an `error`, the exec fails.
        """
        self._registry.stubs.questions.reply(question, result, error)

    async def run_real(self, question: int, code: str | None = None) -> dict[str, Any]:
        """Runs the code that a question is about, or this, in its sandbox; returns stdout, stderr and exit_code."""
        return asdict(await self._registry.stubs.questions.run_real(question, code))

    async def add_command_stub(
        self,
        command: str,
        match: str = "",
        stdout: Output = "",
        stderr: Output = "",
        exit_code: int = 0,
        delay: float = 0,
        times: int | None = None,
        default: bool = False,
    ) -> int:
        """Calls of a command, found on the PATH, in whose arguments `match` is found, say this; returns its number."""
        if not isinstance(command, str) or not _COMMAND.fullmatch(command):
            raise InvalidRequest(
                f"command: expected a program's name such as pip, without a path, got {command!r}"
            )
        if command in BUILTINS:
            raise InvalidRequest(
                f"command: {command} is bash's own and not looked up on the PATH; stub the code that calls it"
            )
        if not isinstance(match, str):
            raise InvalidRequest(f"match: expected a part of the command's arguments, got {match!r}")
        answer = _answer(stdout, stderr, exit_code, delay, times)
        if "\0" in f"{match}{stdout}{stderr}":
            raise InvalidRequest("a command's arguments and output cannot hold a NUL character")
        return self._registry.commands.add(CommandStub(command, match, answer, delay, times, default))

    async def command_calls(self) -> list[tuple[int, list[list[str]]]]:
        """The number of each command's stub, and the arguments of each call that it has answered."""
        return self._registry.commands.calls()


def _absolute(path: str) -> str:
    if not isinstance(path, str) or not path.startswith("/"):
        raise InvalidRequest(f"path: expected an absolute one such as /root/x, got {path!r}")
    return "/" + posixpath.normpath(path).lstrip("/")


def _answer(stdout: Output, stderr: Output, exit_code: int, delay: float, times: int | None) -> Answer:
    answer = Answer(stdout, stderr, exit_code)
    try:
        answer.check()
        check_seconds("delay", delay)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    if times is not None and not (type(times) is int and times >= 1):
        raise InvalidRequest(f"times: expected 1 or more, got {times!r}")
    return answer
