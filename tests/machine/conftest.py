"""A sandbox as a machine, on every isolation backend that this one can have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from podflare import Sandbox
from podflare_emulator import Emulator

from ..emulators import namespace_emulator as namespace_emulator
from ..emulators import namespace_sandbox as namespace_sandbox
from ..matrix import backends
from ..serving import serving


@pytest.fixture(scope="session", params=backends())
def machine_emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with serving(request.param) as emulator:
        yield emulator


@pytest.fixture
def machine(machine_emulator: Emulator) -> Iterator[Sandbox]:
    """A sandbox on one backend after the other."""
    with Sandbox(host=machine_emulator.url) as sandbox:
        yield sandbox
