"""The line of a program that made each of its sandboxes; the client records it, as requests do not carry it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from podflare_emulator.handle.clients.watch import Note, caller, watched


class Origin(NamedTuple):
    file: str
    line: int


class Origins:
    """Origins by sandbox id, of the sandboxes that are made while `recording`."""

    def __init__(self) -> None:
        self._origins: dict[str, Origin | None] = {}
        self._ended: set[str] = set()
        # Of async sandboxes, which have no id before they are awaited.
        self._announced: WeakKeyDictionary[Any, Origin | None] = WeakKeyDictionary()

    def of(self, sandbox_id: str) -> Origin | None:
        """None for a sandbox that was made in another process, or by other means than `Sandbox`."""
        return self._origins.get(sandbox_id)

    @property
    def made(self) -> list[str]:
        """Ids, oldest first."""
        return list(self._origins)

    @property
    def left_open(self) -> list[str]:
        """Ids of sandboxes that the program has neither closed nor merged into another, oldest first."""
        return [made for made in self._origins if made not in self._ended]

    @contextmanager
    def recording(self, *sandboxes: type[Any]) -> Iterator[None]:
        """Inside, records created and forked instances of these classes of an SDK."""

        def origin() -> Origin | None:
            frame = caller("podflare")
            return Origin(frame.f_code.co_filename, frame.f_lineno) if frame else None

        def created(made: Any, *_: Any, **__: Any) -> None:
            if hasattr(made, "__aenter__"):
                self._announced[made] = origin()
            else:
                self._origins[made.id] = origin()

        def entered(made: Any, *_: Any) -> None:
            if made in self._announced:  # not a handle on another's
                self._origins[made.id] = self._announced.pop(made)

        def forked(_: Any, children: list[Any], *__: Any, **___: Any) -> None:
            for child in children:
                self._origins[child.id] = origin()

        def merged(_: Any, __: None, *winner: Any, **named: Any) -> None:
            self._ended.update(one.id for one in (*winner, *named.values()))

        def closed(one: Any, *_: Any) -> None:
            if one not in self._announced:
                self._ended.add(one.id)

        notes: dict[str, Note] = {
            "__init__": created,
            "__aenter__": entered,
            "fork": forked,
            "merge_into": merged,
            "close": closed,
        }
        with ExitStack() as watching:
            for sandbox in sandboxes:
                watching.enter_context(watched(sandbox, notes))
            yield
