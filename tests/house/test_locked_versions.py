"""Every package that CI installs has its version in .ci/constraints.txt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_TOP = Path(__file__).parents[2]
_NAME = re.compile(r"[\w.-]+")
_OURS = {"podflare", "podflare-emulator"}


def _named(requirements: list[str]) -> set[str]:
    return {_NAME.match(line)[0].lower().replace("_", "-") for line in requirements}  # type: ignore[index]


def test_the_lock_names_all_that_is_required() -> None:
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    locked = _named((_TOP / ".ci/constraints.txt").read_text().splitlines())
    for file in ("pyproject.toml", "podflare/pyproject.toml"):
        project = tomllib.loads((_TOP / file).read_text())["project"]
        extras = project.get("optional-dependencies", {})
        required = [*project["dependencies"], *extras.get("test", ()), *extras.get("docs", ())]
        missing = _named(required) - locked - _OURS
        assert not missing, f"{file}: {sorted(missing)}: run .ci/lock"
