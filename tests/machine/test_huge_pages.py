"""What lies on huge pages a fork shares by its few page tables, instead of one entry for every 4 KiB."""

from __future__ import annotations

import subprocess
import sys

import pytest

from podflare import Sandbox

HOLD = """
held = bytearray(b"1") * (64 << 20)
with open("/proc/self/smaps_rollup") as file:
    print(*[line.split()[1] for line in file if line.startswith("AnonHugePages:")])
"""


@pytest.fixture
def huge_pages() -> None:
    """Skips where a process of the host's own gets none."""
    asks = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    done = subprocess.run([sys.executable, "-c", HOLD], capture_output=True, text=True, env=asks)
    if done.returncode or int(done.stdout or 0) == 0:
        pytest.skip(f"this machine gives malloc no huge pages: {done.stderr or done.stdout}")


@pytest.mark.usefixtures("huge_pages")
def test_a_large_block_lies_on_huge_pages(machine: Sandbox) -> None:
    result = machine.run_code(HOLD)
    assert result.exit_code == 0, result.stderr
    assert int(result.stdout) > 0


@pytest.mark.usefixtures("huge_pages")
def test_programs_of_the_sandbox_are_not_told_to_use_them(machine: Sandbox) -> None:
    assert machine.run_code("echo ${GLIBC_TUNABLES-none}", language="bash").stdout == "none"
