"""A user's program with the SDK, the fixtures and `Emulator` passes a strict type checker; events are what they say."""

import copy
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from podflare import Event, ExitEvent, StderrEvent, StdoutEvent

_PROGRAM = Path(__file__).parents[1] / "examples" / "test_typed.py"


def _check(program: Path, directory: Path) -> str:
    pytest.importorskip("mypy")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        f"--cache-dir={directory}",
        str(program),
    ]
    return subprocess.run(command, capture_output=True, text=True, cwd=directory).stdout


def test_a_users_program(tmp_path: Path) -> None:
    assert "Success" in _check(_PROGRAM, tmp_path)


def test_mistakes_are_found(tmp_path: Path) -> None:
    program = tmp_path / "wrong.py"
    program.write_text(
        "from podflare import Event, Sandbox\n"
        "def f(event: Event, sandbox: Sandbox) -> None:\n"
        "    if event.type == 'exit':\n"
        "        event.data.upper()\n"  # line 4
        "    if event.type == 'stdin':\n"  # line 5
        "        pass\n"
        "    sandbox.run_code('', timeout='1')\n"  # line 7
        "    sandbox.upload(b'')\n",  # line 8
        encoding="utf-8",
    )
    found = _check(program, tmp_path)
    assert [number for number in range(1, 9) if f"wrong.py:{number}: error" in found] == [4, 5, 7, 8]


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
