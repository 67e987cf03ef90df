"""What lies on huge pages a fork shares by its few page tables, instead of one entry for every 4 KiB."""

from __future__ import annotations

import subprocess
import sys
import time

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


@pytest.mark.usefixtures("huge_pages")
def test_small_objects_lie_on_huge_pages(machine: Sandbox) -> None:
    before, after = huge(machine), huge(machine, "held = [{'number': i} for i in range(300_000)]")
    if sys.version_info < (3, 14):
        assert after - before > 30 << 20


@pytest.mark.usefixtures("huge_pages")
def test_memory_that_is_free_goes_back_when_the_sandbox_is_idle(machine: Sandbox) -> None:
    before = resident(machine)
    held = resident(machine, "held = [{'number': i} for i in range(600_000)]")
    machine.run_code(
        "kept = [object() for _ in range(1_000)]; del held"
    )  # what is free is not at the heap's end
    for _ in range(100):
        time.sleep(0.1)
        if resident(machine) - before < (held - before) // 4:
            return
    pytest.fail(f"{resident(machine)} bytes are resident; {held} were with all objects, {before} before")


SMALL_PAGES = r"""
import re
with open("/proc/self/smaps") as file:
    mappings = re.findall(r"\[heap\]\n.*?Size: +(\d+) kB.*?VmFlags:([a-z ]+)", file.read(), re.DOTALL)
print(sum(int(size) for size, flags in mappings if "nh" in flags.split()))
"""


@pytest.mark.usefixtures("huge_pages")
def test_what_a_small_sandbox_takes_is_not_rounded_up_to_huge_pages(machine: Sandbox) -> None:
    result = machine.run_code(SMALL_PAGES)
    if sys.version_info < (3, 14):
        assert int(result.stdout) >= 8 << 10, result.stderr


def test_a_thread_forks(machine: Sandbox) -> None:
    result = machine.run_code(
        """
import multiprocessing, threading
queue = multiprocessing.get_context("fork").Queue()
def start():
    process = multiprocessing.get_context("fork").Process(target=lambda: queue.put(sum(range(10))))
    process.start()
    print(queue.get(), process.join(), process.exitcode)
thread = threading.Thread(target=start)
thread.start()
thread.join()
"""
    )
    assert result.stdout == "45 None 0", result.stderr


def huge(sandbox: Sandbox, code: str = "") -> int:
    """Bytes of the interpreter that lie on huge pages, after the code has run."""
    return _of_memory(sandbox, code, "AnonHugePages:")


def resident(sandbox: Sandbox, code: str = "") -> int:
    return _of_memory(sandbox, code, "Rss:")


def _of_memory(sandbox: Sandbox, code: str, name: str) -> int:
    reading = f"print(*[l.split()[1] for l in open('/proc/self/smaps_rollup') if l.startswith('{name}')])"
    result = sandbox.run_code(f"{code}\n{reading}")
    assert result.exit_code == 0, result.stderr
    return int(result.stdout) * 1024
