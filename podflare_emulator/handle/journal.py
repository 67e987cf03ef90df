"""The journal of an emulator, for a test to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from podflare_emulator.vocabulary.errors import EmulatorError

_SHOWN = 72  # characters of code on one line


class HasId(Protocol):
    @property
    def id(self) -> str: ...


def id_of(sandbox: str | HasId) -> str:
    """Raises EmulatorError for what is neither."""
    found = sandbox if isinstance(sandbox, str) else getattr(sandbox, "id", None)
    if not isinstance(found, str):
        raise EmulatorError(f"sandbox: expected a sandbox or its id, got {sandbox!r}")
    return found


@dataclass(frozen=True)
class JournalEvent:
    """As on the wire. `ts`: ms since the epoch."""

    type: Literal["stdout", "stderr", "exit"]
    data: str | int
    seq: int
    ts: int


@dataclass(frozen=True, repr=False)
class Exec:
    """One exec.

    Attributes:
        sandbox: Id of the sandbox; `parent`: id of the sandbox that it was forked from, if any.
        started, ended: Milliseconds since the epoch; `ended` is None while the code runs.
        number: Its position among the requests, execs, forks and merges of the journal.
        truncated: Whether `code` or `events` were cut at 65,536 characters.
        stub: The stub that answered it, as given to `Emulator.stub`; None if the code ran.
        commands: The commands that it called and `Emulator.stub_command` answered, with their arguments.
        error: The message, if the exec failed instead of being answered.
    """

    sandbox: str
    parent: str | None
    language: Literal["python", "bash"]
    code: str
    started: int
    ended: int | None
    events: tuple[JournalEvent, ...]
    truncated: bool
    stub: str | None
    commands: tuple[tuple[str, ...], ...]
    error: str | None
    number: int

    @property
    def exit_code(self) -> int | None:
        """None while the code runs."""
        return next((int(event.data) for event in self.events if event.type == "exit"), None)

    @property
    def stdout(self) -> str:
        return self._text("stdout")

    @property
    def stderr(self) -> str:
        return self._text("stderr")

    @property
    def duration_ms(self) -> int | None:
        return None if self.ended is None else self.ended - self.started

    def _text(self, stream: str) -> str:
        return "\n".join(str(event.data) for event in self.events if event.type == stream)

    def __repr__(self) -> str:
        code = " ".join(self.code.split())
        shown = code if len(code) <= _SHOWN else f"{code[: _SHOWN - 3]}..."
        ended = f"failed: {self.error}" if self.error else f"exit {self.exit_code}"
        outcome = "running" if self.ended is None else f"{ended}, {self.duration_ms} ms"
        if self.commands:
            outcome += f", stubbed: {', '.join(dict.fromkeys(words[0] for words in self.commands))}"
        return f"<{self.sandbox[:12]} {self.language}: {shown} ({'stubbed, ' if self.stub else ''}{outcome})>"


@dataclass(frozen=True, repr=False)
class Request:
    """One HTTP request to the service.

    Attributes:
        call: The call: `create`, `exec`, `fork`, `merge_into`, `destroy`, `replay`, `healthz`, ...; None for an unknown
            path.
        sandbox: Id of the sandbox that it is about; for a create, of the new one.
        body: The JSON value of the body, or its text if it is not JSON; None without a body, or over 4,096 bytes.
        size: Bytes of the body that were read; a request may be refused before all are.
        status: The status that the client received; None if it received none.
        error: The message of a refusal.
        broken: Whether the answer was cut off by either side.
        started, ended: Milliseconds since the epoch; `ended` is None while it is served.
        traceparent: The W3C trace context of the request.
        number: As for an exec.
    """

    method: str
    path: str
    call: str | None
    sandbox: str | None
    body: Any
    size: int
    status: int | None
    error: str | None
    broken: bool
    started: int
    ended: int | None
    traceparent: str | None
    number: int

    @property
    def duration_ms(self) -> int | None:
        return None if self.ended is None else self.ended - self.started

    @property
    def refused(self) -> bool:
        """Whether the client did not get what it asked for."""
        return self.broken or (self.status or 0) >= 400

    def __repr__(self) -> str:
        asked = (
            f"{self.call} {self.sandbox[:12]}" if self.call and self.sandbox else f"{self.method} {self.path}"
        )
        if self.ended is None:
            return f"<{asked} (being served)>"
        answer = "no answer" if self.status is None else str(self.status)
        how = f"{answer}, broken off" if self.broken and self.status else answer
        return f"<{asked} ({how}, {self.duration_ms} ms)>"


@dataclass(frozen=True)
class Fork:
    """Ids, and when it was done (ms since the epoch). `number`: as of an exec."""

    parent: str
    children: tuple[str, ...]
    at: int
    number: int


@dataclass(frozen=True)
class Merge:
    """Ids, of which the winner's is gone, and when it was done (ms since the epoch). `number`: as of an exec."""

    parent: str
    winner: str
    at: int
    number: int


@dataclass(frozen=True)
class Attempt:
    """To deliver a webhook. `at`: ms since the epoch; `status` of the answer, or the `error` if there was none."""

    at: int
    status: int | None
    error: str | None


@dataclass(frozen=True, repr=False)
class Webhook:
    """One event of the lifecycle, sent or, without a webhook URL, only kept.

    Attributes:
        body: As it is sent: `id`, `type`, `ts` (ms since the epoch), and what it is about.
        attempts: To send it, oldest first; `delivered`: the last of them was answered with 2xx.
    """

    body: dict[str, Any]
    attempts: tuple[Attempt, ...]
    delivered: bool

    @property
    def type(self) -> str:
        """Such as `sandbox.frozen`."""
        return str(self.body["type"])

    @property
    def sandbox(self) -> str | None:
        return self.body.get("sandbox_id")

    @property
    def space(self) -> str | None:
        """Of `sandbox.frozen`: what to resume."""
        return self.body.get("space_id")

    def __repr__(self) -> str:
        about = ", ".join(str(value) for name, value in self.body.items() if name not in ("id", "type", "ts"))
        sent = (
            f", {len(self.attempts)} attempt{'' if len(self.attempts) == 1 else 's'}" if self.attempts else ""
        )
        return f"<{self.type}: {about}{sent}>"


def read_webhook(entry: dict[str, Any]) -> Webhook:
    return Webhook(**{**entry, "attempts": tuple(Attempt(**attempt) for attempt in entry["attempts"])})


def read_exec(entry: dict[str, Any]) -> Exec:
    events = tuple(JournalEvent(**event) for event in entry["events"])
    return Exec(**{**entry, "events": events, "commands": tuple(map(tuple, entry["commands"]))})


def read_fork(entry: dict[str, Any]) -> Fork:
    return Fork(**{**entry, "children": tuple(entry["children"])})


def report(
    execs: Sequence[Exec], forks: Sequence[Fork], merges: Sequence[Merge], requests: Sequence[Request]
) -> str:
    """The journal as text, in order: execs, forks, merges, and requests that were refused or broken off."""
    told = [
        (fork.number, f"fork of {_short(fork.parent)}: {', '.join(map(_short, fork.children))}")
        for fork in forks
    ]
    told += [
        (merge.number, f"merge of {_short(merge.winner)} into {_short(merge.parent)}") for merge in merges
    ]
    failed = {(one.sandbox, one.error) for one in execs if one.error}  # told with its code
    told += [
        (one.number, _with(one.error, one))
        for one in requests
        if one.refused and (one.sandbox, one.error) not in failed
    ]
    told += [
        (one.number, _with(one.stderr.rpartition("\n")[2] if one.exit_code else None, one)) for one in execs
    ]
    return "\n".join(text for _, text in sorted(told, key=lambda entry: entry[0]))


def _with(reason: str | None, one: Exec | Request) -> str:
    return f"{one!r}\n    {reason}" if reason else repr(one)


def _short(sandbox: str) -> str:
    return sandbox[:12]
