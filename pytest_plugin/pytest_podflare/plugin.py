"""The hooks and fixtures that pytest loads: only wiring. All that the fixtures can do is a method of `Emulator`.

Nothing of the emulator is imported before a fixture or an option asks for it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, nullcontext, suppress
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest

from pytest_podflare import marker, options
from pytest_podflare.async_fixtures import podflare_async_client as podflare_async_client
from pytest_podflare.async_fixtures import podflare_async_sandbox as podflare_async_sandbox
from pytest_podflare.gatekeeper import GateKeeper
from pytest_podflare.shelf import shelf_name

if TYPE_CHECKING:
    from podflare import Client, Sandbox
    from podflare_emulator.handle.emulator import Emulator
    from pytest_podflare.scopes import Scope, Setups
    from pytest_podflare.shelf import Shelf
    from pytest_podflare.targets.target import Target
    from pytest_podflare.targets.targets import Targets

_OPTIONS = pytest.StashKey[options.Options]()
_TARGET = pytest.StashKey["Target"]()
_TARGETS = pytest.StashKey["Targets"]()
_TARGETS_FIXTURE = "_podflare_targets"  # each of our fixtures uses it
_SETUPS = pytest.StashKey["Setups"]()
_GATE = pytest.StashKey["GateKeeper"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    options.declare(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Runs before any conftest.py can import `podflare`."""
    early_config.stash[_GATE] = GateKeeper(partial(_let_through, early_config))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_OPTIONS] = chosen = options.read(config)
    config.addinivalue_line("markers", marker.DESCRIPTION)
    if chosen.url:
        from pytest_podflare.comparison.both import Both

        config.pluginmanager.register(Both(chosen.url, compares=not hasattr(config, "workerinput")))


def pytest_unconfigure(config: pytest.Config) -> None:
    if gate := config.stash.get(_GATE, None):
        gate.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names: list[str] = getattr(item, "fixturenames", [])
        if _TARGETS_FIXTURE in names:
            from pytest_podflare import scopes

            scopes.first(names)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Launches the server, if a test needs it, before any test or fixture can patch anything.

    It starts while tests run that do not need it; one in a thread starts before them. Under xdist only workers get
    here. The tests report errors, as each tries again.
    """
    config = session.config
    if config.option.collectonly:
        return
    if any(_TARGETS_FIXTURE in getattr(item, "fixturenames", ()) for item in session.items):
        from pytest_podflare.targets.garbage import no_garbage

        with suppress(Exception, pytest.fail.Exception), no_garbage():
            targets = _targets(session)
            targets.launch()
            if config.stash[_OPTIONS].server == "thread":  # patches of tests would affect its start
                targets.start()
    elif "podflare" in sys.modules:
        _setups(config)


@pytest.hookimpl(trylast=True)  # after the teardown of the session's fixtures
def pytest_sessionfinish(session: pytest.Session) -> None:
    if targets := session.config.stash.get(_TARGETS, None):
        targets.stop()
        if targets.taken and session.config.stash[_OPTIONS].isolation == "auto":
            from pytest_podflare.targets import taken

            taken.note(session.config, targets.taken)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    marker.check(item)
    if targets := item.config.stash.get(_TARGETS, None):
        targets.forget_endings(item.parent)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, None, None]:
    """Starts the server before pytest-forked forks a test's process, so that the test does not start its own."""
    forked = item.get_closest_marker("forked") or getattr(item.config.option, "forked", False)
    if forked and _TARGETS_FIXTURE in getattr(item, "fixturenames", ()) and _TARGETS in item.config.stash:
        with suppress(Exception, pytest.fail.Exception):  # its setup tries again, and reports the error
            item.config.stash[_TARGETS].start()
    yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    yield
    if (targets := item.config.stash.get(_TARGETS, None)) and (loss := targets.tell_loss()):
        path, line, _ = item.location
        warnings.warn_explicit(pytest.PytestWarning(loss), None, path, (line or 0) + 1)
    if redirect := sys.modules.get("podflare_emulator.handle.clients.redirect"):
        redirect.settle_environment()


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


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    from pytest_podflare.targets import taken

    taken.note_of_worker(node)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if taken := sys.modules.get("pytest_podflare.targets.taken"):
        for line in taken.lines(config):
            terminalreporter.write_line(line)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Adds the journal of the test's sandboxes, and the server's log, to the report of a failed test."""
    outcome = yield
    if call.excinfo and _TARGETS in item.config.stash:
        report = outcome.get_result()
        if report.failed:
            from pytest_podflare import failures

            if target := item.stash.get(_TARGET, None) or _targets(item.session).of_a_scope:
                failures.tell(item, report, target)
            failures.explain_scope(report)


def _targets(session: pytest.Session) -> Targets:
    """The servers of the session. Does not start them."""
    from pytest_podflare.targets.targets import Targets

    config = session.config
    if _TARGETS not in config.stash:
        both = any(marker.target(item) == "both" for item in session.items)
        config.stash[_TARGETS] = Targets(config.stash[_OPTIONS], _setups(config), both=both)
    return config.stash[_TARGETS]


def _setups(config: pytest.Config) -> Setups:
    from pytest_podflare.scopes import Setups

    if _SETUPS not in config.stash:
        config.stash[_SETUPS] = setups = Setups()
        config.pluginmanager.register(setups)
    return config.stash[_SETUPS]


def _let_through(config: pytest.Config, host: str) -> None:
    from pytest_podflare.gatekeeper import check_host

    options = config.stash.get(_OPTIONS, None)
    setups = config.stash.get(_SETUPS, None)
    if not (options and options.url):
        check_host(host, options.allow_hosts if options else (), setups.running if setups else None)


@pytest.fixture(scope="session")
def _podflare_targets(request: pytest.FixtureRequest) -> Targets:
    """The servers of the whole session. This must not fail, as pytest would not try it again."""
    return _targets(request.session)


@pytest.fixture
def _podflare_where() -> None:
    """A parameter of tests that run on both targets: the one to run on."""


@pytest.fixture(scope="session")
def podflare_stubs() -> Mapping[Any, Any]:
    """Stubs for every test, like the marker's `stubs`. Override it in a conftest.py.

    A test's own stubs take precedence, and `assert_all_stubs_used` ignores these. A real API is not stubbed.
    """
    return {}


@pytest.fixture(scope="session")
def podflare_commands() -> Mapping[str, Any]:
    """Command stubs for every test, like the marker's `commands`; otherwise as `podflare_stubs`."""
    return {}


@pytest.fixture
def _podflare_api(
    request: pytest.FixtureRequest,
    _podflare_targets: Targets,
    _podflare_where: Any,
    podflare_stubs: Mapping[Any, Any],
    podflare_commands: Mapping[str, Any],
) -> Iterator[Target]:
    """The server for one test: clients find it, and nothing of the test remains afterwards."""
    marker.check_all(request.node)
    wishes = marker.read(request.node)
    _podflare_targets.start()
    target = _podflare_targets.choose(wishes.target, _podflare_where)
    request.node.stash[_TARGET] = target
    observing: Any = nullcontext()
    if _podflare_where:
        from pytest_podflare.comparison import both

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


def _emulator_of(scope: Scope) -> Any:
    def emulator(request: pytest.FixtureRequest, _podflare_targets: Targets) -> Iterator[Emulator]:
        _podflare_targets.start()
        target = _podflare_targets.choose(None, None)
        emulator = target.emulator
        defaults = [_wide(request, name) for name in ("podflare_stubs", "podflare_commands")]
        with _podflare_targets.serving_scope(target, scope, *defaults):
            yield emulator

    emulator.__doc__ = f"""As `podflare_emulator`, for fixtures of scope {scope} and narrower ones, setUpClass included.

    Sandboxes that such fixtures make outlive the tests; those left open are destroyed at the end of their scope.
    """
    return pytest.fixture(emulator, scope=scope, name=f"podflare_emulator_{scope}")


def _wide(request: pytest.FixtureRequest, name: str) -> Mapping[Any, Any]:
    try:
        return request.getfixturevalue(name)  # type: ignore[no-any-return]
    except pytest.fail.Exception:  # overridden in a narrower scope, so that it applies only to tests
        return {}


podflare_emulator_session = _emulator_of("session")
podflare_emulator_package = _emulator_of("package")
podflare_emulator_module = _emulator_of("module")
podflare_emulator_class = _emulator_of("class")


@pytest.fixture
def podflare_emulator(_podflare_api: Target) -> Emulator:
    """The emulator, with no sandbox in it. A program under test that just says `Sandbox()` reaches it.

    Sandboxes that the test leaves open are destroyed when it ends. Skips the test under `--podflare-url`.
    """
    return _podflare_api.emulator


@pytest.fixture
def podflare_sandbox(_podflare_api: Target) -> Iterator[Sandbox]:
    """A fresh sandbox of the installed SDK, closed when the test ends; under `--podflare-url` on that server."""
    with _podflare_api.without_faults():
        sandbox: Any = _podflare_api.create_sandbox()
    yield sandbox
    _podflare_api.close(sandbox)


@pytest.fixture
def podflare_client(_podflare_api: Target) -> Iterator[Client]:
    """A `Client` of the installed SDK, to share between sandboxes; closed when the test ends."""
    client: Any = _podflare_api.create_client()
    yield client
    client.close()


@pytest.fixture
def podflare_sandboxes(_podflare_api: Target, podflare_client: Client) -> Iterator[Callable[..., Sandbox]]:
    """A function that makes sandboxes, with the arguments of `Sandbox`; all are closed when the test ends.

    They share `podflare_client`, unless a call gives settings for a client.
    """
    with ExitStack() as made:

        def make(**settings: Any) -> Any:
            if not settings.keys() & {"client", "host", "api_key", "traceparent"}:
                settings["client"] = podflare_client
            sandbox = _podflare_api.create_sandbox(**settings)
            made.callback(_podflare_api.close, sandbox)
            return sandbox

        yield make
