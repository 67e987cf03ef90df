"""Prepared sandboxes: an expensive setup runs once, and every test gets a fork of the result."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, get_args, overload

import pytest

from pytest_podflare.scopes import Scope
from pytest_podflare.shelf import Prepare, Shelf, shelf_name

if TYPE_CHECKING:
    from pytest_podflare.targets.target import Target


@overload
def prepared_sandbox(prepare: Prepare) -> Any: ...


@overload
def prepared_sandbox(*, scope: Scope = "session", check: bool = True) -> Callable[[Prepare], Any]: ...


def prepared_sandbox(prepare: Prepare | None = None, *, scope: Scope = "session", check: bool = True) -> Any:
    """Turns a function that prepares a sandbox into a fixture that returns a fork of that sandbox.

        @prepared_sandbox
        def trained(sandbox):
            sandbox.upload("tests/data/prices.csv", "/data/prices.csv")
            sandbox.run_code("import pandas as pd; df = pd.read_csv('/data/prices.csv')")

        def test_rows(trained):
            assert trained.run_code("print(len(df))").stdout == "100000"

    The function runs once in each scope, when the first test needs it. Each test gets its own child with all of the
    memory, REPL state and files, and may change it freely: no other test sees that.

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
        _podflare_api.close(child)

    fork.__doc__ = prepare.__doc__
    return pytest.fixture(fork, name=prepare.__name__)
