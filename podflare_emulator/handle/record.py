"""The journal, and the contents of sandboxes: the part of `Emulator` that only reads."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

from podflare_emulator.handle.inspection import Inspection
from podflare_emulator.handle.journal import (
    Exec,
    Fork,
    HasId,
    Merge,
    Request,
    Webhook,
    id_of,
    read_exec,
    read_fork,
    read_webhook,
    report,
)
from podflare_emulator.vocabulary.errors import EmulatorError
from podflare_emulator.vocabulary.lineage import Tree


class Record(ABC):
    """A base of `Emulator`, which makes the calls."""

    @abstractmethod
    def _call(self, name: str, **arguments: Any) -> Any:
        """A call of the control API, and its result. Raises EmulatorError."""

    def execs(
        self,
        *,
        sandbox: str | HasId | None = None,
        language: Literal["python", "bash"] | None = None,
        code: str | re.Pattern[str] | None = None,
    ) -> list[Exec]:
        """Every exec since the last reset, in the order of their starts.

        Uploads, downloads and diffs are execs too.

        Args:
            sandbox: Only in this sandbox; the object or its id.
            language: Only in this language.
            code: Only execs whose code contains this text, or matches this regular expression.
        """
        if language not in (None, "python", "bash"):
            raise EmulatorError(f"language: expected python or bash, got {language!r}")
        wanted = None if sandbox is None else id_of(sandbox)
        pattern = re.compile(re.escape(code)) if isinstance(code, str) else code
        if not (pattern is None or (isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str))):
            raise EmulatorError(f"code: expected a string, or a regular expression for strings, got {code!r}")
        return [
            one
            for one in map(read_exec, self._call("execs"))
            if wanted in (None, one.sandbox)
            and language in (None, one.language)
            and (pattern is None or pattern.search(one.code))
        ]

    def requests(
        self, *, sandbox: str | HasId | None = None, call: str | None = None, status: int | None = None
    ) -> list[Request]:
        """Every request to the service since the last reset, in order of arrival, including refused ones.

        Args:
            sandbox: Only requests about this sandbox, including its create; the object or its id.
            call: Only this call: `create`, `exec`, `fork`, `merge_into`, `destroy`, `replay`, ...
            status: Only requests that were answered with this status.
        """
        if not (status is None or type(status) is int):
            raise EmulatorError(f"status: expected a number such as 404, got {status!r}")
        wanted = None if sandbox is None else id_of(sandbox)
        made = [Request(**entry) for entry in self._call("requests")]
        if not (call is None or any(one.call == call for one in made)):
            _check_call(call)
        return [
            one
            for one in made
            if wanted in (None, one.sandbox) and call in (None, one.call) and status in (None, one.status)
        ]

    def the_exec(
        self,
        *,
        sandbox: str | HasId | None = None,
        language: Literal["python", "bash"] | None = None,
        code: str | re.Pattern[str] | None = None,
    ) -> Exec:
        """The one exec that `execs` finds. Raises AssertionError, and lists what ran, if there is none or several."""
        found = self.execs(sandbox=sandbox, language=language, code=code)
        if len(found) == 1:
            return found[0]
        wanted = {"sandbox": None if sandbox is None else id_of(sandbox), "language": language, "code": code}
        asked = ", ".join(f"{name}={value!r}" for name, value in wanted.items() if value is not None)
        ran = listed(found or self.execs())
        raise AssertionError(
            f"expected one exec with {asked or 'any code'}, found {len(found)}"
            f"{'' if found else '; what ran'}:\n{ran}"
        )

    @property
    def forks(self) -> list[Fork]:
        """Every fork since the last reset."""
        return [read_fork(entry) for entry in self._call("forks")]

    @property
    def merges(self) -> list[Merge]:
        """Every merge since the last reset."""
        return [Merge(**entry) for entry in self._call("merges")]

    @property
    def webhooks(self) -> list[Webhook]:
        """Every event of the lifecycle since the last reset: created, merged, frozen, resumed, destroyed, ...

        They are kept whether there is a webhook URL or not.
        """
        return [read_webhook(entry) for entry in self._call("webhooks")]

    def sandbox(self, sandbox: str | HasId) -> Inspection:
        """A sandbox's files and names, seen from outside; leaves no exec in the journal.

            assert emulator.sandbox(box).read("/root/report.csv").startswith(b"day,")
            assert "model" in emulator.sandbox(box).globals()

        Takes the object or its id. Waits for code that runs; see `Inspection`.
        """
        return Inspection(id_of(sandbox), self._call)

    def tree(self) -> Tree:
        """The sandboxes since the last reset: which was forked from which, and what became of each.

        `print(emulator.tree())` draws it as text; `emulator.tree().mermaid()` is for a Markdown page.
        """
        return Tree.of(self._call("sandboxes"))

    def report(self) -> str:
        """The journal as text, as in the report of a failing test; empty if nothing has happened."""
        names = ("execs", "forks", "merges", "requests", "sandboxes")
        return _told({name: self._call(name) for name in names})

    def _last_report(self) -> tuple[str, str]:
        """`report`, and the log as text, of before the last reset that was to remember them."""
        remembered = self._call("remembered")
        return (_told(remembered), "\n".join(remembered["log"])) if remembered else ("", "")


def _told(record: Mapping[str, list[Any]]) -> str:
    told = report(
        [*map(read_exec, record["execs"])],
        [*map(read_fork, record["forks"])],
        [Merge(**entry) for entry in record["merges"]],
        [Request(**entry) for entry in record["requests"]],
    )
    return f"{Tree.of(record['sandboxes'])}\n\n{told}" if record["forks"] else told


def listed(execs: list[Exec]) -> str:
    """One a line."""
    return "\n".join(f"  {one!r}" for one in execs) or "  nothing"


def _check_call(call: str) -> None:
    from podflare_emulator.domain.testing.calls import CALLS, check_name
    from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest

    try:
        check_name("call", call, CALLS)
    except InvalidRequest as error:
        raise EmulatorError(str(error)) from None
