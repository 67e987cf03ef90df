"""The results of a test's execs, to compare with those on another server."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from typing import Any

from podflare_emulator.handle.clients.watch import Note, caller, watched

Seen = dict[str, Any]
"""One `run_code`, in a form that can travel to xdist's controller as JSON: `language`, `code`, `exit_code`, `stdout`,
and `sandbox`, the number of the test's sandbox in the order of their creation, from 1."""

_COMPARED = ("language", "code", "exit_code", "stdout")  # not stderr: tracebacks need not be the same
_SHOWN = 100  # characters of code


class Observed:
    """The calls of `run_code` by a test and its program, without those within uploads, downloads and diffs."""

    def __init__(self) -> None:
        self._made: list[str] = []
        self._results: list[tuple[str, str, str, Any]] = []

    @contextmanager
    def recording(self, *sandboxes: type[Any]) -> Iterator[None]:
        """Inside, records the results that these classes of an SDK return."""
        notes: dict[str, Note] = {"fork": self._forked, "run_code": self._ran}
        with ExitStack() as watching:
            for sandbox in sandboxes:
                # An async sandbox is created when it is entered or awaited.
                creates = "__aenter__" if hasattr(sandbox, "__aenter__") else "__init__"
                watching.enter_context(watched(sandbox, {creates: self._created, **notes}))
            yield

    def seen(self, others: Collection[str]) -> list[Seen]:
        """The calls in the order of their returns, without those of the sandboxes `others`, which outlive the test."""
        own = (name for name in self._made if name not in others)
        numbers = {name: number for number, name in enumerate(own, 1)}
        return [
            {
                "sandbox": numbers[name],
                "language": language,
                "code": code,
                "exit_code": result.exit_code,
                "stdout": result.stdout,
            }
            for name, language, code, result in self._results
            if name in numbers
        ]

    def _created(self, made: Any, *_: Any, **__: Any) -> None:
        if made.id not in self._made:
            self._made.append(made.id)

    def _forked(self, _: Any, children: list[Any], *__: Any, **___: Any) -> None:
        self._made += [child.id for child in children]

    def _ran(self, one: Any, result: Any, code: str, language: str = "python", **_: Any) -> None:
        frame = caller()
        module = frame.f_globals.get("__name__", "") if frame else ""
        if not module.startswith("podflare.") or module.startswith("podflare.integrations."):
            self._results.append((one.id, language, code, result))


def first_difference(mine: list[Seen], theirs: list[Seen], names: tuple[str, str]) -> str | None:
    """Describes the first difference; None if both have seen the same.

    Compares the calls of each sandbox in order, since those of several sandboxes may run at the same time.
    """
    return next(filter(None, (_difference(*pair, names) for pair in _pairs(mine, theirs))), None)


def _pairs(mine: list[Seen], theirs: list[Seen]) -> Iterator[tuple[Seen | None, Seen | None]]:
    left: defaultdict[int, deque[Seen]] = defaultdict(deque)
    for call in theirs:
        left[call["sandbox"]].append(call)
    for call in mine:
        others = left[call["sandbox"]]
        yield call, (others.popleft() if others else None)
    for others in left.values():
        for call in others:
            yield None, call


def _difference(one: Seen | None, other: Seen | None, names: tuple[str, str]) -> str | None:
    if one is None or other is None:
        call, name = (one, names[0]) if one else (other, names[1])
        assert call is not None
        return f"{_shown(call)}\n  ran only on {name}"
    for what in _COMPARED:
        if one[what] != other[what]:
            lines = zip_longest(str(one[what]).split("\n"), str(other[what]).split("\n"))
            number, differing = next((n, pair) for n, pair in enumerate(lines, 1) if pair[0] != pair[1])
            said = (f"  {name}: {line or 'nothing'}" for name, line in zip(names, differing, strict=True))
            return "\n".join((_shown(one), f"  {what}, line {number}:", *said))
    return None


def _shown(call: Seen) -> str:
    code = " ".join(call["code"].split())
    code = code if len(code) <= _SHOWN else f"{code[:_SHOWN]}..."
    return f"sandbox {call['sandbox']}, {call['language']}: {code}"
