"""Emulators for the tests of isolation: one for the session, and others as a test configures them.

A module whose tests share a server of their own has a fixture `server`; what stands on it is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from podflare import Client, Sandbox
from podflare_emulator import Emulator

from .matrix import backends
from .serving import serving


@pytest.fixture
def emulator(server: Emulator) -> Iterator[Emulator]:
    with server.redirect_clients():
        yield server
    server.reset()


@pytest.fixture
def sandbox(emulator: Emulator) -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def namespace_emulator() -> Iterator[Emulator]:
    with serving("namespace") as emulator:
        yield emulator


@pytest.fixture
def namespace_sandbox(namespace_emulator: Emulator) -> Iterator[Callable[..., Sandbox]]:
    """`namespace_sandbox(**order)`: a sandbox that is closed after the test."""
    made: list[Sandbox] = []
    with Client(host=namespace_emulator.url) as client:

        def make(**order: Any) -> Sandbox:
            made.append(Sandbox(client=client, **order))
            return made[-1]

        yield make
        for sandbox in made:
            sandbox.close()


@pytest.fixture
def portable_emulator() -> Iterator[Callable[..., Emulator]]:
    """`portable_emulator(**settings)`: one that serves until the test ends."""
    with ExitStack() as started:
        yield lambda **settings: started.enter_context(serving("portable", **settings))


@pytest.fixture(scope="session", params=backends("preload", "portable"))
def directory_emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """One for each backend whose sandboxes are plain directories of the host's."""
    with serving(request.param) as emulator:
        yield emulator
