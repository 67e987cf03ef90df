"""Where in a program each of its sandboxes was made: the client tells, since no request carries it."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

_NOT_THE_PROGRAM = {"podflare", "podflare_emulator", "pytest_podflare", "contextlib", "functools"}


class Origin(NamedTuple):
    file: str
    line: int


class Origins:
    """Remembered by sandbox id, of the sandboxes that are made while `recording`."""

    def __init__(self) -> None:
        self._origins: dict[str, Origin] = {}

    def of(self, sandbox_id: str) -> Origin | None:
        """None for a sandbox that was made in another process, or by other means than `Sandbox`."""
        return self._origins.get(sandbox_id)

    @contextlib.contextmanager
    def recording(self, sandbox: type[Any]) -> Iterator[None]:
        """Inside, instances of this SDK's class are remembered, created or forked."""
        create, fork = sandbox.__init__, sandbox.fork

        def noting_create(self: Any, *args: Any, **kwargs: Any) -> None:
            create(self, *args, **kwargs)
            note(self)

        def noting_fork(self: Any, *args: Any, **kwargs: Any) -> Any:
            children = fork(self, *args, **kwargs)
            for child in children:
                note(child)
            return children

        def note(made: Any) -> None:
            if origin := _caller():
                self._origins[made.id] = origin

        _wrap(sandbox, "__init__", noting_create)
        _wrap(sandbox, "fork", noting_fork)
        try:
            yield
        finally:
            sandbox.__init__, sandbox.fork = create, fork


def _wrap(sandbox: type[Any], name: str, wrapper: Callable[..., Any]) -> None:
    setattr(sandbox, name, functools.wraps(getattr(sandbox, name))(wrapper))


def _caller() -> Origin | None:
    frame = sys._getframe()
    while frame.f_globals.get("__name__", "").partition(".")[0] in _NOT_THE_PROGRAM:
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return Origin(frame.f_code.co_filename, frame.f_lineno)
