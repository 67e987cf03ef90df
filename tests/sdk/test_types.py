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


def _mypy(directory: Path, *programs: Path) -> str:
    command = ["mypy", "--strict", "--config-file=", f"--cache-dir={directory}", *map(str, programs)]
    return subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, cwd=directory
    ).stdout


def _pyright(directory: Path, *programs: Path) -> str:
    settings = {
        "include": [*map(str, programs)],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.10",
    }
    (directory / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--project", str(directory), "--pythonpath", sys.executable]
    run = subprocess.run(command, capture_output=True, text=True, cwd=directory)
    if not re.search(r"\d+ errors?,", run.stdout):
        pytest.skip(f"pyright cannot run here: {(run.stderr or run.stdout).strip()[-200:]}")
    return run.stdout


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


_DECORATED = """
from podflare import Sandbox
from pytest_podflare import prepared_sandbox

@prepared_sandbox(scope="module")
def trained(sandbox: Sandbox) -> None: ...

@prepared_sandbox
def plain(sandbox: Sandbox) -> None: ...
"""


@SLOW
@pytest.mark.parametrize("checker", [_mypy, _pyright])
def test_users_programs_pass_and_mistakes_are_found(checker: Callable[..., str], tmp_path: Path) -> None:
    """In one run, since most of one is to read what the programs import."""
    pytest.importorskip(checker.__name__.strip("_"))
    mistaken, decorated = tmp_path / "mistaken.py", tmp_path / "decorated.py"
    mistaken.write_text(_WRONG, encoding="utf-8")
    decorated.write_text(_DECORATED, encoding="utf-8")
    printed = checker(tmp_path, _PROGRAM, decorated, mistaken)

    def errors(program: Path) -> list[int]:
        # mypy: program.py:1: error: ...; pyright: /path/program.py:1:2 - error: ...
        found = re.findall(rf"{re.escape(program.name)}:(\d+)(?:: error|:\d+ - error)", printed)
        return sorted({int(number) for number in found})

    wrong = [number for number, line in enumerate(_WRONG.splitlines(), 1) if line.endswith("# wrong")]
    assert [number for number in errors(mistaken) if number in wrong] == wrong, printed
    assert errors(_PROGRAM) == errors(decorated) == [], printed


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
