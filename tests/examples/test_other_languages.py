"""The programs in other languages run, and get the answers that their page promises."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from podflare_emulator import Emulator


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


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_files_and_terminals_with_curl(podflare_emulator: Emulator) -> None:
    printed = _run(podflare_emulator, "sh", "other_languages_files.sh")
    said, tree = printed[:6], printed[6:]
    assert said == [
        "day,price",
        "1,9.5",
        "changed: /root/prices.csv",
        "changed: /root/new.txt",
        "Ada",
        "hello Ada",
    ]
    assert [line[:8] for line in tree] == ["sbx_" + tree[0][4:8], "\u2514\u2500\u2500 sbx_"]


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_files_and_terminals_with_node(podflare_emulator: Emulator) -> None:
    printed = _run(podflare_emulator, "node", "other_languages.mjs")
    assert printed == [
        *("day,price", "1,9.5", "", "[ 'Done' ]"),
        *("{", "  added: [ '/root/new.txt' ],", "  removed: [],", "  modified: [ '/root/prices.csv' ]", "}"),
        *("Ada", "hello Ada", " 0", "[ 'pip install' ]"),
    ]


def _run(emulator: Emulator, program: str, name: str) -> list[str]:
    script = Path(__file__).with_name(name)
    run = subprocess.run([program, script, emulator.url], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")
    assert emulator.reset() == []
    return run.stdout.splitlines()
