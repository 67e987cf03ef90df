"""The servers that the contract is checked against, and a clean sandbox on each for every test.

Without options: an emulator for each isolation backend; with `--contract-backend NAME` that one ("auto": the best).
What is about forks is checked on both fork engines, by replay on two backends:
`@pytest.mark.replay_differs("reason")` says what a replay cannot promise, and fails if it does not differ.
With `--podflare-url URL` (and `--podflare-api-key-env NAME`, the environment variable that holds the key): that
server, without what only an emulator can do.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from podflare import Client, Sandbox
from podflare_emulator import Emulator
from podflare_emulator.vocabulary.settings import ForkEngine

from ..matrix import BACKENDS, BY_REPLAY
from ..serving import serving
from .server import Server
from .wire import Wire

ENGINES: tuple[ForkEngine, ...] = ("live", "replay")
_ABOUT_FORKS = ("fork", "merge", "seed_example")
_ABOUT_OS_FORK = "fork_libraries"  # what it cuts off, a replay has not


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--contract-backend",
        choices=["auto", *BACKENDS],
        default=None,
        help="check the contract on this isolation backend only (default: on each)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    backend = metafunc.config.getoption("--contract-backend", default=None)
    backends = [backend] if backend else BACKENDS
    if "server" in metafunc.fixturenames:
        url = metafunc.config.getoption("--podflare-url", default=None)
        about = metafunc.module.__name__
        about_forks = any(subject in about for subject in _ABOUT_FORKS) and _ABOUT_OS_FORK not in about
        kinds = [
            pytest.param(
                (name, engine),
                id=name if engine == "live" else f"{name}-{engine}",
                marks=_marks(name, engine),
            )
            for engine in (ENGINES if about_forks else ENGINES[:1])
            for name in backends
        ]
        metafunc.parametrize("server", [url] if url else kinds, indirect=True, scope="session")
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize(
            "backend", [pytest.param(name, id=name, marks=_marks(name, "live")) for name in backends]
        )


def _marks(backend: str, engine: ForkEngine) -> list[pytest.MarkDecorator]:
    marks = [pytest.mark.backend(backend)] if backend != "auto" else []
    return [*marks, BY_REPLAY] if engine == "replay" else marks


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "replay_differs(reason): what a fork by replay cannot promise")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marker = item.get_closest_marker("replay_differs")
        if marker and isinstance(item, pytest.Function) and item.callspec.params["server"][1] == "replay":
            item.add_marker(pytest.mark.xfail(reason=marker.args[0], strict=True))


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server under test, for the whole session."""
    if request.config.getoption("--podflare-url", default=None):
        variable = request.config.getoption("--podflare-api-key-env", default=None) or "PODFLARE_API_KEY"
        yield Server(request.param, os.environ.get(variable), emulated=False)
        return
    isolation, engine = request.param
    with serving(isolation, fork=engine) as emulator:
        yield Server(emulator.url, None, emulated=True, isolation=emulator.isolation, engine=engine)


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[Client]:
    with Client(host=server.url, api_key=server.api_key) as client:
        yield client


@pytest.fixture
def sandbox(client: Client) -> Iterator[Sandbox]:
    with Sandbox(client=client) as sandbox:
        yield sandbox


@pytest.fixture
def fork() -> Iterator[Callable[..., list[Sandbox]]]:
    """`fork(sandbox, n=1)`: children that are closed after the test."""
    made: list[Sandbox] = []

    def fork(sandbox: Sandbox, n: int = 1) -> list[Sandbox]:
        children = sandbox.fork(n)
        made.extend(children)
        return children

    yield fork
    for child in made:
        child.close()


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    wire = Wire(server)
    yield wire
    wire.clean_up()


@pytest.fixture
def ours(server: Server) -> None:
    """For what no source tells of the service: a decision of this project."""
    if not server.emulated:
        pytest.skip("a decision of the emulator's: what the service does is not known")


@pytest.fixture
def own_emulator(request: pytest.FixtureRequest) -> Iterator[Callable[..., Emulator]]:
    """`own_emulator(**settings)`: an emulator that serves until the test ends."""
    if request.config.getoption("--podflare-url", default=None):
        pytest.skip("it needs an emulator that the test itself has configured")
    with ExitStack() as started:
        yield lambda **settings: started.enter_context(serving(**settings))
