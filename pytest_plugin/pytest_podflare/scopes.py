"""Sandboxes that serve more than one test: which fixture is being set up, and which sandboxes belong to it.

Loaded and registered when `podflare` gets imported or a server starts, so that other suites do not pay for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from typing import Any, Literal, get_args

import pytest

Scope = Literal["session", "package", "module", "class"]

SCOPES: tuple[Scope, ...] = get_args(Scope)  # from the widest
NAMES = tuple(f"podflare_emulator_{scope}" for scope in SCOPES)


class Setups:
    """Keeps the sandboxes that fixtures of wider scopes make from being destroyed with a test's own.

    Args:
        made: Ids of all sandboxes that this process has made so far.
    """

    def __init__(self) -> None:
        self.made: Callable[[], list[str]] = list
        self.scopes: dict[str, str] = {}  # keyed by the sandbox's id
        self._running: list[tuple[str, str]] = []

    @property
    def running(self) -> tuple[str, str] | None:
        """Name and scope of the fixture that is being set up, if it is of a wider scope."""
        return self._running[-1] if self._running else None

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, None, None]:
        name, scope = fixturedef.argname, fixturedef.scope
        if scope == "function":
            yield
            return
        before = len(self.made())
        self._running.append((name, scope))
        yield
        self._running.pop()
        for sandbox in self.made()[before:]:
            # A fixture that this one uses may have made it, and have a wider scope.
            self.scopes.setdefault(sandbox, scope)

    def end(self, scope: Scope, earlier: Collection[str]) -> None:
        """Stops keeping the sandboxes of this scope and of narrower ones.

        `earlier`: those that were made before it began stay. Their fixtures are older and so end later, in a wider one.
        """
        over = SCOPES[SCOPES.index(scope) :]
        self.scopes = {
            sandbox: of for sandbox, of in self.scopes.items() if of not in over or sandbox in earlier
        }


def first(names: list[str]) -> None:
    """Moves our fixtures of wider scopes to the front, before setUpClass and other autouse fixtures."""
    names.sort(key=lambda name: NAMES.index(name) if name in NAMES else len(NAMES))
