"""Holds a scope's prepared sandboxes until the scope ends."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_podflare.scopes import Scope
    from pytest_podflare.targets.target import Target

Prepare = Callable[..., Any]

_Kind = tuple[Prepare, "Target", bool, bool]
"""The preparing function, the sandbox's target, its egress and its echo: what may differ between tests."""


def shelf_name(scope: Scope) -> str:
    """The name of the fixture that holds this scope's prepared sandboxes."""
    return f"_podflare_prepared_{scope}"


class Shelf:
    """The prepared sandboxes of one scope. A preparation that has failed is not tried again."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self._sandboxes: dict[_Kind, Any] = {}
        self._failures: dict[_Kind, BaseException] = {}

    def get(self, target: Target, prepare: Prepare, check: bool) -> Any:
        kind = (prepare, target, target.egress, target.echo)
        if kind in self._failures:
            raise self._failures[kind]
        if kind not in self._sandboxes or self._sandboxes[kind].id not in target.kept:  # lost with its server
            try:
                self._sandboxes[kind] = self._prepare(target, prepare, check)
            except (Exception, pytest.fail.Exception) as error:
                self._failures[kind] = error
                raise
        return self._sandboxes[kind]

    def close(self) -> None:
        for (_, target, *_), sandbox in self._sandboxes.items():
            if not target.is_lost:
                target.kept.discard(sandbox.id)
                sandbox.close()

    def _prepare(self, target: Target, prepare: Prepare, check: bool) -> Any:
        _, *fixtures = inspect.signature(prepare).parameters
        with target.preparing():
            # These fixtures outlive the running test too.
            arguments = {name: self._request.getfixturevalue(name) for name in fixtures}
            sandbox = target.create_sandbox()
            try:
                prepare(sandbox, **arguments)
                if check:
                    _check(sandbox, prepare.__name__)
            except BaseException:
                sandbox.close()
                raise
        target.kept.add(sandbox.id)
        target.expect_forks(sandbox)
        return sandbox


def _check(sandbox: Any, name: str) -> None:
    stderr: list[str] = []
    for event in sandbox.replay():
        if event.type == "stderr":
            stderr.append(event.data)
        elif event.type == "exit":
            if event.data != 0:
                complaint = "\n".join(stderr[-50:])
                pytest.fail(
                    f"preparing the sandbox {name!r} failed: an exec ended with exit code {event.data}\n{complaint}",
                    pytrace=False,
                )
            stderr = []
