"""Which part of the matrix a run covers: by default what a change needs, with `--all` everything."""

from __future__ import annotations

import os
from argparse import BooleanOptionalAction

import pytest

from podflare_emulator import Emulator, EmulatorError

_NAMES_TESTS = "podflare-names-tests"
BACKENDS = ("namespace", "preload", "portable")


def declare(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all",
        action=BooleanOptionalAction,
        default=bool(os.environ.get("CI")),
        help="also the backends that `auto` does not take here, forks by replay, a server in a thread, and long tests; "
        "the default where the environment variable CI is set",
    )


def configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "backend(name): runs with --all, or where `auto` takes this backend")
    config.addinivalue_line("markers", "only_all(reason): runs with --all only")
    config.addinivalue_line("markers", "slow: runs with --all, or where a run names tests")


def backends(*names: str) -> list[object]:
    """Values of a parameter or a fixture: these backends, or all."""
    return [pytest.param(name, id=name, marks=pytest.mark.backend(name)) for name in names or BACKENDS]


def engines() -> list[object]:
    return ["live", pytest.param("replay", id="replay", marks=BY_REPLAY)]


def servers() -> list[object]:
    return ["process", pytest.param("thread", id="thread", marks=IN_A_THREAD)]


BY_REPLAY = pytest.mark.only_all("a fork by replay")
IN_A_THREAD = pytest.mark.only_all("a server in a thread")
LONG = pytest.mark.only_all("it takes long")
SLOW = pytest.mark.slow  # takes a second or more: a run of everything takes its neighbours


def choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects what this run leaves out."""
    if config.getoption("--all"):
        return
    here = _taken_by_auto() if any(item.get_closest_marker("backend") for item in items) else ""
    quick = not names_tests(config)
    left_out = [
        item for item in items if _is_left_out(item, here) or (quick and item.get_closest_marker("slow"))
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


def names_tests(config: pytest.Config) -> bool:
    """Whether this run is of chosen tests: by a path, a name, a marker, or since they failed.

    The workers of xdist are given paths in any case, so their controller tells them.
    """
    if (told := getattr(config, "workerinput", {}).get(_NAMES_TESTS)) is not None:
        return bool(told)
    options = ("keyword", "markexpr", "lf", "stepwise")
    return config.args_source is pytest.Config.ArgsSource.ARGS or any(
        config.getoption(name, None) for name in options
    )


def tell(workerinput: dict[str, object], config: pytest.Config) -> None:
    """What a worker of xdist cannot find out."""
    workerinput[_NAMES_TESTS] = names_tests(config)


def _is_left_out(item: pytest.Item, here: str) -> bool:
    if item.get_closest_marker("only_all"):
        return True
    named = {name for marker in item.iter_markers("backend") for name in marker.args}
    return bool(named) and here not in named


def _taken_by_auto() -> str:
    try:
        with Emulator(pool_size=0) as emulator:
            return emulator.isolation
    except EmulatorError:  # it takes none of its own accord
        return "portable"
