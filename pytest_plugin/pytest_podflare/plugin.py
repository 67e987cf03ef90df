"""What pytest loads: wiring only. Every power of the fixtures is a method of `Emulator`.

Nothing of the emulator is imported before a fixture or an option asks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest

from pytest_podflare import marker, options
from pytest_podflare.shelf import shelf_name

if TYPE_CHECKING:
    from podflare import Client, Sandbox
    from podflare_emulator.handle.emulator import Emulator
    from pytest_podflare.shelf import Scope, Shelf
    from pytest_podflare.targets.target import Target
    from pytest_podflare.targets.targets import Targets

_OPTIONS = pytest.StashKey[options.Options]()
_TARGET = pytest.StashKey["Target"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.declare(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_OPTIONS] = chosen = options.read(config)
    config.addinivalue_line("markers", marker.DESCRIPTION)
    if chosen.url:
        from pytest_podflare.both import Both

        config.pluginmanager.register(Both(chosen.url, compares=not hasattr(config, "workerinput")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marker.check(item)


def pytest_report_header(config: pytest.Config) -> str:
    chosen = config.stash[_OPTIONS]
    if chosen.url:
        return f"podflare: {chosen.url}"
    where = " in a thread" if chosen.server == "thread" else ""
    python = chosen.python or ".".join(map(str, sys.version_info[:3]))
    return (
        f"podflare: emulator {version('podflare-emulator')}{where}, "
        f"isolation: {chosen.isolation}, fork: {chosen.fork}, Python: {python}"
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Shows what the sandboxes of a test that has failed did, and what the server has logged."""
    outcome = yield
    target = item.stash.get(_TARGET, None)
    if target and call.when != "teardown" and call.excinfo:
        report = outcome.get_result()
        if report.failed:
            report.sections += [
                (f"Podflare {name}", text)
                for name, text in (("journal", target.journal()), ("log", target.log()))
                if text
            ]


@pytest.fixture(scope="session")
def _podflare_targets(request: pytest.FixtureRequest) -> Iterator[Targets]:
    """The servers of the whole session. Session-wide, so they are there before a test's own patches are."""
    from pytest_podflare.targets.targets import Targets

    both = any(marker.target(item) == "both" for item in request.session.items)
    targets = Targets(request.config.stash[_OPTIONS], both=both)
    targets.start()
    yield targets
    targets.stop()


@pytest.fixture
def _podflare_where() -> None:
    """A parameter of tests that run on both: on which."""


@pytest.fixture(scope="session")
def podflare_stubs() -> Mapping[Any, Any]:
    """What is stubbed in every test, as by the marker's `stubs`: for a conftest.py to override.

    A test's own stubs come before, and `assert_all_stubs_used` does not ask for these. A real API is not stubbed.
    """
    return {}


@pytest.fixture(scope="session")
def podflare_commands() -> Mapping[str, Any]:
    """As `podflare_stubs`, of the marker's `commands`."""
    return {}


@pytest.fixture
def _podflare_api(
    request: pytest.FixtureRequest,
    _podflare_targets: Targets,
    _podflare_where: Any,
    podflare_stubs: Mapping[Any, Any],
    podflare_commands: Mapping[str, Any],
) -> Iterator[Target]:
    """The server for one test: clients find it, and nothing of the test outlives it."""
    wishes = marker.read(request.node)
    target = _podflare_targets.choose(wishes.target, _podflare_where)
    request.node.stash[_TARGET] = target
    observing: Any = nullcontext()
    if _podflare_where:
        from pytest_podflare import both

        observing = both.observing(request.node, target.kept)
    with target.serving_one_test(wishes, podflare_stubs, podflare_commands), observing:
        yield target


def _shelf(scope: Scope) -> Any:
    @pytest.fixture(scope=scope, name=shelf_name(scope))
    def shelf(request: pytest.FixtureRequest, _podflare_targets: Targets) -> Iterator[Shelf]:
        from pytest_podflare.shelf import Shelf

        shelf = Shelf(request)
        yield shelf
        shelf.close()

    return shelf


_shelf_session = _shelf("session")
_shelf_package = _shelf("package")
_shelf_module = _shelf("module")
_shelf_class = _shelf("class")


@pytest.fixture
def podflare_emulator(_podflare_api: Target) -> Emulator:
    """The emulator, with no sandbox in it. A program under test that just says `Sandbox()` reaches it.

    Sandboxes that the test leaves open are destroyed when it ends. Skips the test under `--podflare-url`.
    """
    return _podflare_api.emulator


@pytest.fixture
def podflare_sandbox(_podflare_api: Target) -> Iterator[Sandbox]:
    """A fresh sandbox of the installed SDK, closed when the test ends. Under `--podflare-url` it is made there."""
    with _podflare_api.without_faults():
        sandbox: Any = _podflare_api.create_sandbox()
    yield sandbox
    with _podflare_api.without_faults():
        sandbox.close()


@pytest.fixture
def podflare_client(_podflare_api: Target) -> Iterator[Client]:
    """A `Client` of the installed SDK, to be shared by sandboxes; closed when the test ends."""
    client: Any = _podflare_api.create_client()
    yield client
    client.close()


@pytest.fixture
def podflare_sandboxes(_podflare_api: Target, podflare_client: Client) -> Iterator[Callable[..., Sandbox]]:
    """Makes a sandbox a call, with the arguments of `Sandbox`; all are closed when the test ends.

    They share `podflare_client`, unless one is given settings of a client's.
    """
    with ExitStack() as made:

        def make(**settings: Any) -> Any:
            if not settings.keys() & {"client", "host", "api_key", "traceparent"}:
                settings["client"] = podflare_client
            sandbox = _podflare_api.create_sandbox(**settings)
            made.callback(sandbox.close)
            return sandbox

        yield make
        with _podflare_api.without_faults():
            made.close()
