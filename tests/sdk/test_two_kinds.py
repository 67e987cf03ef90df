"""The blocking and the async kind of the SDK have one source, and one surface."""

import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import podflare

from ..matrix import SLOW

_GENERATOR = Path(__file__).parents[2] / "podflare" / "generate_sync.py"
_KINDS = [
    ("AsyncSandbox", "Sandbox"),
    ("AsyncClient", "Client"),
    ("AsyncEventStream", "EventStream"),
    ("AsyncPtyNamespace", "PtyNamespace"),
    ("AsyncPtyHandle", "PtyHandle"),
]
_ONLY_ASYNC = {"__await__"}


@pytest.fixture(scope="module")
def generator() -> Any:
    pytest.importorskip("ruff", reason="the generated files are formatted by ruff")
    spec = importlib.util.spec_from_file_location("generate_sync", _GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@SLOW
def test_generating_again_gives_the_same(generator: Any) -> None:
    stale = [path.name for path, text in generator.generated() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run: python podflare/generate_sync.py"


@SLOW
def test_what_is_generated_has_no_trace_of_the_other_kind(generator: Any) -> None:
    for path, text in generator.generated():
        code = text.partition("\n")[2]
        assert not re.search(r"async|await|\baio\b|__a(?:enter|exit|iter|next)|sync only", code, re.I), path


@pytest.mark.parametrize(("one", "other"), _KINDS)
def test_the_surfaces_are_the_same(one: str, other: str) -> None:
    ours, theirs = _surface(getattr(podflare, one)), _surface(getattr(podflare, other))
    assert {_blocking(name) for name in ours.keys() - _ONLY_ASYNC} == set(theirs)
    for name in ours.keys() - _ONLY_ASYNC:
        assert ours[name] == theirs[_blocking(name)], name


@pytest.mark.parametrize("name", [name for pair in _KINDS for name in pair])
def test_what_is_public_is_documented(name: str) -> None:
    documented = getattr(podflare, name)
    assert documented.__doc__
    for member, value in vars(documented).items():
        if not member.startswith("_") and callable(getattr(value, "__func__", value)):
            assert inspect.getdoc(getattr(documented, member)), f"{name}.{member}"


def _surface(kind: type) -> dict[str, tuple[str, str | None]]:
    """Signature and docstring of what is public, in the blocking kind's words."""
    special = {
        "__init__",
        *(f"__{way}{step}__" for way in ("", "a") for step in ("enter", "exit", "iter", "next")),
    }
    return {
        name: (_signature(value), _blocking(value.__doc__ or ""))
        for name, value in vars(kind).items()
        if name in special | _ONLY_ASYNC or not name.startswith("_")
    }


def _signature(value: Any) -> str:
    if isinstance(value, property):
        return "property"
    function = getattr(value, "__func__", value)
    return _blocking(str(inspect.signature(function)))


def _blocking(text: str) -> str:
    text = re.sub(r"\bAsyncGenerator\[(\w+), None\]", r"Generator[\1, None, None]", text)
    text = re.sub(r"\bAsync([A-Z])", r"\1", text)
    text = re.sub(r"\basync (with|for) ", r"\1 ", text)
    text = re.sub(r"__a(enter|exit|iter|next)__", r"__\1__", text)
    text = re.sub(r"\bawait ", "", text)
    text = re.sub(r"\baclose\b", "close", text)
    return " ".join(text.replace("`async with`", "`with`").split())
