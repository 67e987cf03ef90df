"""Calls of clients, and how a test selects some of them by name, sandbox, code or language."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest

_TERMINALS = ("pty", "pty_list", "pty_input", "pty_resize", "pty_kill", "pty_attach", "pty_read")
_SPACES = ("resume", "destroy_space")
CALLS = ("create", "exec", "fork", "merge_into", "destroy", "replay", *_SPACES, *_TERMINALS, "healthz")
ANY = "any"
_WITHOUT_SANDBOX = ("create", *_SPACES, "healthz")


class Asked(Struct, frozen=True):
    """One call. `sandbox`: the id in its path; of a merge, the parent's.

    `code`, `language`: of an exec. `n`: of a fork. `custom`: of a create, with RAM or disk that no guest of the pool
    has.
    """

    call: str
    sandbox: str | None = None
    code: str = ""
    language: str | None = None
    n: int = 1
    custom: bool = False


class Match(Struct, frozen=True):
    """Selects calls. None matches anything."""

    call: str
    sandbox: str | None = None
    pattern: re.Pattern[str] | None = None
    language: str | None = None

    def meets(self, asked: Asked) -> bool:
        return (
            self.call in (ANY, asked.call)
            and self.sandbox in (None, asked.sandbox)
            and self.language in (None, asked.language)
            and (self.pattern is None or self.pattern.search(asked.code) is not None)
        )


def read_match(call: Any, sandbox: Any, pattern: Any, flags: Any, language: Any) -> Match:
    """`pattern`: a regular expression to search an exec's code for. Raises InvalidRequest."""
    check_name("call", call, (ANY, *CALLS))
    if sandbox is not None and call in _WITHOUT_SANDBOX:
        raise InvalidRequest(f"sandbox: a {call} has none in its path")
    if not (sandbox is None or isinstance(sandbox, str)):
        raise InvalidRequest(f"sandbox: expected a sandbox or its id, got {sandbox!r}")
    if call != "exec" and (pattern is not None or language is not None):
        name = "language" if pattern is None else "code"
        raise InvalidRequest(f"{name}: only an exec has one: write 'exec' instead of {call!r}")
    if language is not None:
        check_name("language", language, ("python", "bash"))
    return Match(call, sandbox, None if pattern is None else read_pattern("code", pattern, flags), language)


def read_pattern(field: str, pattern: Any, flags: Any) -> re.Pattern[str]:
    """Raises InvalidRequest."""
    if not isinstance(pattern, str):
        raise InvalidRequest(
            f"{field}: expected a string, or a regular expression for strings, got {pattern!r}"
        )
    try:
        return re.compile(pattern, flags)
    except (
        re.error,
        OverflowError,
        TypeError,
        ValueError,
    ) as error:  # the last three are raised for the flags
        raise InvalidRequest(f"{field}: not a regular expression: {error}") from None


def check_name(field: str, name: Any, names: Iterable[str]) -> None:
    names = [*names]
    if name in names:
        return
    near = difflib.get_close_matches(str(name), names, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise InvalidRequest(f"{field}: expected {', '.join(names[:-1])} or {names[-1]}, got {name!r}{hint}")
