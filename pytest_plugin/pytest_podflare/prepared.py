"""Prepared sandboxes: what is expensive to set up is set up once, and every test gets a fork of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, get_args

import pytest

from pytest_podflare.plugin import shelf_name

if TYPE_CHECKING:
    from pytest_podflare.target import Target

Scope = Literal["session", "package", "module", "class"]
Prepare = Callable[..., Any]


def prepared_sandbox(prepare: Prepare | None = None, *, scope: Scope = "session", check: bool = True) -> Any:
    """Turns a function that prepares a sandbox into a fixture that is a fork of it.

        @prepared_sandbox
        def trained(sandbox):
            sandbox.upload("tests/data/prices.csv", "/data/prices.csv")
            sandbox.run_code("import pandas as pd; df = pd.read_csv('/data/prices.csv')")

        def test_rows(trained):
            assert trained.run_code("print(len(df))").stdout == "100000"

    The function runs once a scope, when the first test needs it. Each test gets a child of its own with all of the
    memory, REPL state and files, and may do with it what it likes: no other test sees that.

    Args:
        scope: How long the prepared sandbox lives.
        check: Fail the tests, with its stderr, if any of the preparing execs did not exit with 0.

    The function's first parameter is the sandbox; further ones name fixtures, of that scope or a wider one.
    """
    if scope not in get_args(Scope):
        raise ValueError(f"prepared_sandbox: scope: expected {' or '.join(get_args(Scope))}, got {scope!r}")
    if prepare is None:
        return lambda prepare: _fixture(prepare, scope, check)
    return _fixture(prepare, scope, check)


def _fixture(prepare: Prepare, scope: Scope, check: bool) -> Any:
    if not inspect.signature(prepare).parameters:
        raise TypeError(f"{prepare.__name__}: its first parameter must be the sandbox to prepare")

    def fork(request: pytest.FixtureRequest, _podflare_api: Target) -> Iterator[Any]:
        shelf: Shelf = request.getfixturevalue(shelf_name(scope))
        with _podflare_api.without_faults():
            (child,) = shelf.get(_podflare_api, prepare, check).fork(1)
        yield child
        with _podflare_api.without_faults():
            child.close()

    fork.__doc__ = prepare.__doc__
    return pytest.fixture(fork, name=prepare.__name__)


_Kind = tuple[Prepare, "Target", bool]
"""A function that prepares, where its sandbox is, and whether that has egress: what tests may wish to differ."""


class Shelf:
    """The prepared sandboxes of one scope. A preparation that has failed is not tried again."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self._sandboxes: dict[_Kind, Any] = {}
        self._failures: dict[_Kind, BaseException] = {}

    def get(self, target: Target, prepare: Prepare, check: bool) -> Any:
        kind = (prepare, target, target.egress)
        if kind in self._failures:
            raise self._failures[kind]
        if kind not in self._sandboxes:
            try:
                self._sandboxes[kind] = self._prepare(target, prepare, check)
            except (Exception, pytest.fail.Exception) as error:
                self._failures[kind] = error
                raise
        return self._sandboxes[kind]

    def close(self) -> None:
        for (_, target, _), sandbox in self._sandboxes.items():
            target.kept.discard(sandbox.id)
            sandbox.close()

    def _prepare(self, target: Target, prepare: Prepare, check: bool) -> Any:
        _, *fixtures = inspect.signature(prepare).parameters
        arguments = {name: self._request.getfixturevalue(name) for name in fixtures}
        sandbox = target.create_lasting_sandbox()
        try:
            with target.only_default_stubs():
                prepare(sandbox, **arguments)
            if check:
                _check(sandbox, prepare.__name__)
        except BaseException:
            sandbox.close()
            raise
        target.kept.add(sandbox.id)
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
