"""A user's program with the SDK, the fixtures and `Emulator` passes a strict type checker; events are what they say."""

import copy
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from podflare import Event, ExitEvent, StderrEvent, StdoutEvent

from ..matrix import SLOW

_PROGRAM = Path(__file__).parents[1] / "examples" / "test_typed.py"


Check = Callable[[Path], list[int]]


@pytest.fixture(params=["mypy", "pyright"])
def errors(request: pytest.FixtureRequest, tmp_path: Path) -> Check:
    """The lines of a program that a strict type checker objects to."""
    pytest.importorskip(request.param)
    run = {"mypy": _mypy, "pyright": _pyright}[request.param]

    def errors(program: Path) -> list[int]:
        printed = run(program, tmp_path)
        # mypy: program.py:1: error: ...; pyright: /path/program.py:1:2 - error: ...
        found = re.findall(rf"{re.escape(program.name)}:(\d+)(?:: error|:\d+ - error)", printed)
        assert found or re.search("Success|^0 errors", printed, re.MULTILINE), printed
        return sorted({int(number) for number in found})

    return errors


def _mypy(program: Path, directory: Path) -> str:
    command = ["mypy", "--strict", "--config-file=", f"--cache-dir={directory}", str(program)]
    return subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, cwd=directory
    ).stdout


def _pyright(program: Path, directory: Path) -> str:
    settings = {"include": [str(program)], "typeCheckingMode": "strict", "pythonVersion": "3.10"}
    (directory / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--project", str(directory), "--pythonpath", sys.executable]
    run = subprocess.run(command, capture_output=True, text=True, cwd=directory)
    if not re.search(r"\d+ errors?,", run.stdout):
        pytest.skip(f"pyright cannot run here: {(run.stderr or run.stdout).strip()[-200:]}")
    return run.stdout


@SLOW
def test_a_users_program(errors: Check) -> None:
    assert errors(_PROGRAM) == []


_WRONG = """
from podflare import AsyncSandbox, Event, Sandbox
from podflare_emulator import Emulator
from pytest_podflare import prepared_sandbox

def f(event: Event, sandbox: Sandbox) -> None:
    if event.type == 'exit':
        event.data.upper()  # wrong
    sandbox.run_code('', timeout='1')  # wrong
    sandbox.upload(b'')  # wrong
    sandbox.pty.create('bash')  # wrong
    sandbox.pty.create(cmd='bash', on_data=lambda data: data.encode())  # wrong
    Sandbox(regions='eu')  # wrong

async def g(sandbox: AsyncSandbox) -> str:
    (await sandbox.run_code('')).output  # wrong
    return (await sandbox.pty.create(cmd='bash')).id + 1  # wrong

Emulator(isolated='auto')  # wrong
Emulator(isolation='best')  # wrong
prepared_sandbox(scope='function')  # wrong
"""


@SLOW
def test_mistakes_are_found(errors: Check, tmp_path: Path) -> None:
    program = tmp_path / "wrong.py"
    program.write_text(_WRONG, encoding="utf-8")
    wrong = [number for number, line in enumerate(_WRONG.splitlines(), 1) if line.endswith("# wrong")]
    assert [number for number in errors(program) if number in wrong] == wrong


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (Event("stdout", "a", 0, 1), StdoutEvent),  # type: ignore[operator]
        (Event("stderr", "a", 0, 1), StderrEvent),  # type: ignore[operator]
        (Event("exit", 0, 0, 1), ExitEvent),  # type: ignore[operator]
        (Event(type="exit", data=0, seq=0, ts=1), ExitEvent),  # type: ignore[operator]
        (ExitEvent("exit", 0, 0, 1), ExitEvent),
        (Event.from_json({"type": "exit", "data": 0, "seq": 0, "ts": 1}), ExitEvent),  # type: ignore[attr-defined]
    ],
)
def test_an_event_is_of_its_kind(made: Any, kind: type) -> None:
    assert type(made) is kind
    assert isinstance(made, Event)
    assert made == copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == replace(made)


def test_an_event_of_no_kind() -> None:
    with pytest.raises(ValueError, match="one of stdout, stderr, exit, not 'telemetry'"):
        Event("telemetry", "a", 0, 1)  # type: ignore[operator]
