"""What pytest loads: wiring only. Every power of the fixtures is a method of `Emulator`.

Nothing of the emulator is imported before a fixture or an option asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest

from pytest_podflare import options

if TYPE_CHECKING:
    from podflare import Sandbox
    from podflare_emulator.emulator import Emulator
    from pytest_podflare.target import Target

_OPTIONS = pytest.StashKey[options.Options]()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.declare(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_OPTIONS] = options.read(config)


def pytest_report_header(config: pytest.Config) -> str | None:
    chosen = config.stash[_OPTIONS]
    if not chosen.given:
        return None
    if chosen.url:
        return f"podflare: {chosen.url}"
    python = chosen.python or "this one"
    return (
        f"podflare: emulator {version('podflare-emulator')} in a {chosen.server}, "
        f"isolation: {chosen.isolation}, fork: live, Python: {python}"
    )


@pytest.fixture(scope="session")
def _podflare_target(pytestconfig: pytest.Config) -> Iterator[Target]:
    """The server of the whole session. Session-wide, so it is there before a test's own patches are."""
    from pytest_podflare.target import EmulatorTarget, RemoteTarget

    chosen = pytestconfig.stash[_OPTIONS]
    target = RemoteTarget(chosen) if chosen.url else EmulatorTarget(chosen)
    target.start()
    yield target
    target.stop()


@pytest.fixture
def _podflare_api(_podflare_target: Target) -> Iterator[Target]:
    """The server for one test: clients find it, and nothing of the test outlives it."""
    with _podflare_target.serving_one_test():
        yield _podflare_target


@pytest.fixture
def podflare_emulator(_podflare_api: Target) -> Emulator:
    """The emulator, with no sandbox in it. A program under test that just says `Sandbox()` reaches it.

    Sandboxes that the test leaves open are destroyed when it ends. Skips the test under `--podflare-url`.
    """
    return _podflare_api.emulator


@pytest.fixture
def podflare_sandbox(_podflare_api: Target) -> Iterator[Sandbox]:
    """A fresh sandbox of the installed SDK, closed when the test ends. Under `--podflare-url` it is made there."""
    sandbox: Any = _podflare_api.create_sandbox()
    yield sandbox
    sandbox.close()
