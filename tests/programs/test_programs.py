"""Forty programs that a data-analysis agent would write, on each isolation backend.

`data/` holds them, NAME.py or NAME.sh, and beside each what it prints. A first line `# needs: pandas git` names the
modules and programs that it cannot do without.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from podflare import Sandbox
from podflare_emulator import Emulator

from ..matrix import SLOW

PROGRAMS = {path.stem: path for path in sorted(Path(__file__).parent.glob("data/*.??"))}

# What a backend cannot do, each with the reason. One that runs all the same fails the test, so that it is taken out.
EXPECTED_FAILURES: dict[str, dict[str, str]] = {
    "namespace": {},
    "preload": {},
    "portable": {
        "configuration_in_etc": "/etc is the host's, and Landlock refuses to write it",
        "paths_from_variables": "paths that are put together in bash are not rewritten",
    },
}
if os.getuid() != 0:
    EXPECTED_FAILURES["preload"]["home_and_user"] = (
        "by number, the sandbox's root is who started the emulator"
    )
    EXPECTED_FAILURES["portable"]["home_and_user"] = "the sandbox's user is who started the emulator"


def test_there_are_forty() -> None:
    assert len(PROGRAMS) == 40


@SLOW
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(emulator: Emulator, name: str, request: pytest.FixtureRequest) -> None:
    program = PROGRAMS[name]
    code = program.read_text(encoding="utf-8")
    missing = [needed for needed in needs(code) if not available(needed)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if reason := EXPECTED_FAILURES[emulator.isolation].get(name):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError))
    with Sandbox(host=emulator.url) as sandbox:
        result = sandbox.run_code(code, language="bash" if program.suffix == ".sh" else "python")
    expected = program.with_suffix(".out").read_text(encoding="utf-8")
    assert (result.stdout, result.stderr, result.exit_code) == (expected.removesuffix("\n"), "", 0)


def needs(code: str) -> list[str]:
    first = code.partition("\n")[0]
    return first.removeprefix("# needs: ").split() if first.startswith("# needs: ") else []


def available(name: str) -> bool:
    return importlib.util.find_spec(name) is not None or shutil.which(name) is not None
