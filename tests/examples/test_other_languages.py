"""The shell script runs, and gets the answers that its page promises."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_script_gets_its_answers(tmp_path: Path) -> None:
    command = tmp_path / "podflare-emulator"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m podflare_emulator "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    script = Path(__file__).with_name("other_languages.sh")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    run = subprocess.run(["sh", script], capture_output=True, text=True, env=environment, check=True)
    answers = [json.loads(line) for line in run.stdout.splitlines() if line]
    said = [answer["data"] for answer in answers if answer.get("type") == "stdout"]
    assert said == ["hello", "Done"]
    journal, destroyed = answers[-2]["result"], answers[-1]["result"]
    assert [entry["code"] for entry in journal] == [
        'print(open("/data/greeting").read())',
        "pip install prophet",
    ]
    assert destroyed == [journal[0]["sandbox"]]
