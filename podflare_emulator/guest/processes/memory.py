"""Watches over the memory of a sandbox: the limit of one process (interpreter/limits.py) says nothing of ten."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ..system.process_table import processes

if TYPE_CHECKING:
    from ..jail.namespace.meminfo import Meminfo

_PAUSE = 0.02  # seconds: how long a sandbox can be over its limit
_MIB = 1 << 20
_PAGE = os.sysconf("SC_PAGE_SIZE")


def watch(ram_mib: int, complaints: int, shown: Meminfo | None) -> None:
    """In the family's init: while its processes have more than `ram_mib` together, kills the largest. Does not return.

    `complaints` is a descriptor of the sandbox's stderr, where it says so; `shown` is told what they have.
    """
    limit = ram_mib * _MIB
    while True:
        time.sleep(_PAUSE)
        pids = [pid for pid in processes() if pid != os.getpid()]
        used = sum(map(_resident, pids))
        if shown is not None:
            shown.tell(used)
        if used <= limit:
            continue
        shares = {pid: _share(pid) for pid in pids}  # dear, and exact: what forks have in common counts once
        if sum(shares.values()) <= limit:
            continue
        largest = max(shares, key=shares.__getitem__)
        words = (
            f"podflare: the sandbox's processes took more than its {ram_mib} MiB of memory: "
            f"killed process {largest} ({_name(largest)}), which had {shares[largest] // _MIB}\n"
        )
        try:
            os.kill(largest, 9)
            os.write(complaints, words.encode())
        except OSError:
            pass  # it has ended, or nobody listens


def _resident(pid: int) -> int:
    """Bytes, what it shares with others included; 0 for a process that has ended."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _share(pid: int) -> int:
    """Bytes that are its own, and its part of what it shares."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(b"Pss:"))
    except (OSError, StopIteration):
        return 0


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "ended"
