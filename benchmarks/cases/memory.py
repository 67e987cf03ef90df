"""What idle sandboxes take: the proportional set size (PSS) of all the processes they have brought.

A page that several processes share counts in each by its share, so the sum is what the machine has lost to them. The
kernel's own memory for them (page tables, descriptors) is not in it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from bench import Bench, Skipped, case
from podflare import Sandbox

_COUNTS = (1, 50, 200)
_SETTLED = 0.3  # seconds without a process more or less: the pool is full again


@case(seconds=120)
def memory(bench: Bench) -> None:
    if not os.path.exists("/proc/self/smaps_rollup"):
        raise Skipped("this kernel has no /proc/PID/smaps_rollup")
    counts = _COUNTS if bench.full else _COUNTS[:2]
    Sandbox(client=bench.client).close()  # the server runs, and its pool is being filled
    before = settled_pss()
    sandboxes: list[Sandbox] = []
    try:
        for count in counts:
            while len(sandboxes) < count:
                sandboxes.append(Sandbox(client=bench.client))
                sandboxes[-1].run_code("1+1")
            each = (settled_pss() - before) / count
            bench.record(f"memory of each of {count} idle sandboxes", "MB", [each], ("memory", count))
    finally:
        for sandbox in sandboxes:
            sandbox.close()


def settled_pss() -> float:
    """In MB, of this process's descendants, the emulator's processes among them."""
    known, since = set(descendants()), time.monotonic()
    while time.monotonic() < since + _SETTLED:
        time.sleep(0.02)
        now = set(descendants())
        if now != known:
            known, since = now, time.monotonic()
    return sum(_pss(pid) for pid in known) / 1e6


def descendants() -> Iterator[int]:
    """Of this process: the emulator's processes among them."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found = children.get(os.getpid(), [])
    while found:
        pid = found.pop()
        found += children.get(pid, [])
        yield pid


def _pss(pid: int) -> int:
    """In bytes; 0 of a process that has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
