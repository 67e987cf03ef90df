"""The children of a process, as the kernel lists them and as they are found without that list."""

from __future__ import annotations

import subprocess
import sys

import pytest

from podflare_emulator.guest.system import process_table

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

# A child with a child of its own.
_FAMILY = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(flush=True); input()'])"


@pytest.mark.parametrize("listed", [True, False])
def test_children_are_found_and_grandchildren_are_not(monkeypatch: pytest.MonkeyPatch, listed: bool) -> None:
    if not listed:
        monkeypatch.setattr(process_table, "_CHILDREN", "/proc/thread-self/nothing")
    command = [sys.executable, "-c", _FAMILY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin
        assert child.stdout
        child.stdout.readline()  # the grandchild runs
        found = process_table.children()
        child.communicate(b"\n")
    assert child.pid in found
    assert not {pid for pid in found if process_table.parent_of(pid) == child.pid}
    assert child.pid not in process_table.children()
