"""The marker: how one test, class or module arranges the emulator."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import pytest

from pytest_podflare.options import LEAK_POLICIES

NAME = "podflare"
FIXTURE = "_podflare_api"  # each test with a fixture of Podflare has it
DESCRIPTION = (
    f"{NAME}(files=None, env=None, stubs=None, commands=None, faults=None, latency=None, clock=None, egress=None, "
    "reachable=None, echo_last_expression=None, leaks=None, target=None, compare='results'): "
    "arrange the Podflare emulator for a test. "
    "files: a dict from absolute paths in every new sandbox to bytes, text, or a Path of a file or folder here; "
    "env: a dict of variables that every new sandbox has in its environment; "
    "stubs: a dict from parts of code to the output to print instead of running it, to a function that answers, or to "
    "a dict of Emulator.stub's arguments; "
    "commands: a dict from names of shell commands to their output, or to a dict of Emulator.stub_command's "
    "arguments; "
    "faults: a dict from calls of the API to the status that the next one gets, to a dict of Emulator.fault's "
    "arguments, or to a list of these; "
    "latency: a dict from calls to the seconds that they take, or to a pair of least and most; "
    "clock: real, manual or skipping, the clock for lifetimes, delays and time stamps; "
    "egress: whether its sandboxes may reach the network; "
    "reachable: a list of servers on this machine, such as ('127.0.0.1', 8080), that they find at the same address; "
    "echo_last_expression: whether to print the value of a last line that is an expression; "
    f"leaks: {', '.join(LEAK_POLICIES)}, like the option --podflare-leaks; "
    "target: emulator, real, or, under --podflare-url, both, one after the other; "
    "compare: results, if run_code must return the same on both, or outcome."
)
_TARGETS = ("emulator", "real", "both")
_EXAMPLES = {
    "files": "{'/data/x.csv': Path('x.csv')}",
    "env": "{'PIP_INDEX_URL': 'https://mirror.example/simple'}",
    "stubs": "{'pip install': 'Done'}",
    "commands": "{'pip': 'Done'}",
    "faults": "{'exec': 503}",
    "latency": "{'exec': 0.5}",
}
_COMPARE = ("results", "outcome")
_CLOCKS = ("real", "manual", "skipping")


class Wishes(NamedTuple):
    files: Mapping[str, Any]
    env: Mapping[str, str]
    stubs: Mapping[Any, Any]
    commands: Mapping[str, Any]
    faults: Mapping[str, Any]
    latency: Mapping[str, Any]
    clock: Literal["real", "manual", "skipping"] | None
    egress: bool | None
    reachable: Sequence[tuple[str, int]]
    echo_last_expression: bool | None
    leaks: Literal["ignore", "warn", "error"] | None
    target: Literal["emulator", "real", "both"] | None
    compare: Literal["results", "outcome"]


def check(item: pytest.Item) -> None:
    """Fails the test, with an explanation, for an invalid marker, or for one on the test itself without effect.

    Markers of a class or module are ignored in tests that use no fixture of Podflare.
    """
    uses = FIXTURE in getattr(item, "fixturenames", ())
    for mark in item.iter_markers(NAME):
        if uses:
            refuse(item, mistake(mark))
        elif mark in _of_function(item):
            refuse(item, mistake(mark) or _without_fixture(item))


def check_all(item: pytest.Item) -> None:
    """As `check`, for a test that is known to use a fixture, perhaps by request.getfixturevalue."""
    for mark in item.iter_markers(NAME):
        refuse(item, mistake(mark))


def refuse(item: pytest.Item, mistake: str | None) -> None:
    if mistake:
        pytest.fail(f"{item.nodeid}: @pytest.mark.{NAME}: {mistake}", pytrace=False)


def _of_function(item: pytest.Item) -> Any:
    """Markers on the function itself, without those of a hook or a class."""
    return getattr(getattr(item, "function", None), "pytestmark", ())


def _without_fixture(item: pytest.Item) -> str | None:
    if _may_ask_later(item):
        return None
    return "the test uses none of Podflare's fixtures; add podflare_emulator to it"


def _may_ask_later(item: Any) -> bool:
    """Whether the test, or one of its fixtures, uses `request`, with which it may get one of ours while it runs."""
    wanted = [*item._fixtureinfo.argnames]
    wanted += [name for mark in item.iter_markers("usefixtures") for name in mark.args]
    seen = set[str]()
    while wanted:
        name = wanted.pop()
        if name == "request":
            return True
        if name not in seen:
            seen.add(name)
            for fixture in item._fixtureinfo.name2fixturedefs.get(name, ()):
                if not fixture.func.__module__.startswith("_pytest."):
                    wanted += fixture.argnames
    return False


def read(node: pytest.Item) -> Wishes:
    """Merges the markers, entry by entry; the nearest to the test takes precedence."""
    files: dict[str, Any] = {}
    env: dict[str, str] = {}
    stubs: dict[Any, Any] = {}
    commands: dict[str, Any] = {}
    faults: dict[str, Any] = {}
    latency: dict[str, Any] = {}
    reachable: list[tuple[str, int]] = []
    for mark in reversed(list(node.iter_markers(NAME))):
        files |= mark.kwargs.get("files") or {}
        env |= mark.kwargs.get("env") or {}
        stubs |= mark.kwargs.get("stubs") or {}
        commands |= mark.kwargs.get("commands") or {}
        faults |= mark.kwargs.get("faults") or {}
        latency |= mark.kwargs.get("latency") or {}
        reachable += mark.kwargs.get("reachable") or ()
    return Wishes(
        files,
        env,
        stubs,
        commands,
        faults,
        latency,
        _nearest(node, "clock"),
        _nearest(node, "egress"),
        reachable,
        _nearest(node, "echo_last_expression"),
        _nearest(node, "leaks"),
        target(node),
        _nearest(node, "compare") or "results",
    )


def target(node: pytest.Item) -> Any:
    """The marker's `target`. May be called before the markers have been checked."""
    return _nearest(node, "target")


def _nearest(node: pytest.Item, name: str) -> Any:
    wishes = (mark.kwargs.get(name) for mark in node.iter_markers(NAME))
    return next((wish for wish in wishes if wish is not None), None)


def mistake(mark: pytest.Mark) -> str | None:
    if mark.args:
        return f"takes keyword arguments only, such as files={{...}}, got {mark.args[0]!r}"
    for name in mark.kwargs:
        if name not in Wishes._fields:
            import difflib  # late: the plugin must cost nothing if it is not used

            near = difflib.get_close_matches(name, Wishes._fields, 1, 0.6)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(Wishes._fields)}"
            return f"unknown name {name!r}; {hint}"
    for name, example in _EXAMPLES.items():
        value = mark.kwargs.get(name)
        if not (value is None or isinstance(value, Mapping)):
            return f"{name}: expected a dict such as {example}, got {value!r}"
    for name, choices in (
        ("leaks", LEAK_POLICIES),
        ("clock", _CLOCKS),
        ("egress", (True, False)),
        ("echo_last_expression", (True, False)),
        ("target", _TARGETS),
        ("compare", _COMPARE),
    ):
        value = mark.kwargs.get(name)
        if not (value is None or (value in choices and isinstance(value, type(choices[0])))):  # 1 == True
            return f"{name}: expected {', '.join(map(str, choices))}, got {value!r}"
    reachable = mark.kwargs.get("reachable")
    if not (reachable is None or isinstance(reachable, (list, tuple))):
        return f"reachable: expected a list such as [('127.0.0.1', 8080)], got {reachable!r}"
    faults, latency = mark.kwargs.get("faults"), mark.kwargs.get("latency")
    if faults or latency:
        from pytest_podflare.faults import mistake as mistake_of_faults

        return mistake_of_faults(faults or {}, latency or {})
    return None
