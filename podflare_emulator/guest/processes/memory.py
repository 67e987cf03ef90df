"""Watches the memory of a sandbox as a whole: interpreter/limits.py limits only each single process."""

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
    """In the family's init: whenever its processes use more than `ram_mib` together, kills the largest.

    `complaints` is a descriptor of the sandbox's stderr, where it reports that; `shown` gets the memory in use. Does
    not return.
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
        shares = {pid: _share(pid) for pid in pids}  # slow but exact: memory that forks share counts once
        if sum(shares.values()) <= limit:
            continue
        largest = max(shares, key=shares.__getitem__)
        words = (
            f"podflare: the sandbox's processes took more than its {ram_mib} MiB of memory: "
            f"killed process {largest} ({_name(largest)}), which had {shares[largest] // _MIB} MiB\n"
        )
        try:
            os.kill(largest, 9)
            os.write(complaints, words.encode())
        except OSError:
            pass  # it has ended, or nobody reads stderr


def _resident(pid: int) -> int:
    """Resident bytes, including shared memory; 0 for a process that has ended."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _share(pid: int) -> int:
    """Private bytes, and a proportional share of shared memory (Pss)."""
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
