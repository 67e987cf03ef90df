"""An emulator that may be killed, on each isolation backend."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..matrix import backends
from ..serving import serving
from .command import Command

Start = Callable[..., Command]


@pytest.fixture(scope="session", params=backends())
def isolation(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    with serving(backend, pool_size=0):
        return backend


@pytest.fixture
def start(isolation: str, tmp_path: Path) -> Iterator[Start]:
    """`start(*arguments)`: an emulator that serves; what still runs after the test is ended."""
    started: list[Command] = []

    def start(*arguments: str) -> Command:
        command = Command(tmp_path, "--isolation", isolation, *arguments)
        started.append(command)
        return command

    yield start
    for command in started:
        command.clean_up()
