"""The prices to meet: what an operation, as the SDK's user sees it, may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PriceUnit = Literal["floor", "ms", "MB"]


@dataclass(frozen=True)
class Price:
    """The median of `measurement`, which `case` makes, is to be at most `limit`.

    `unit`: "floor" is times the floor of that moment.
    `why_not`: what stands in the way where it is known not to be met, and what is planned; shown only then.
    `backends`: those that it is for; none for all.
    """

    operation: str
    case: str
    measurement: str
    limit: float
    unit: PriceUnit
    why_not: str = ""
    backends: tuple[str, ...] = ()


_TWO_PROCESSES = (
    "the floor is one process's answer; here another is woken and answers first, which takes as long again. uvloop and "
    "httptools have made the floor half of what it was when the price was set, and that way no shorter"
)
_CHILD = (
    "a child takes some 2 ms of processor time, and `fork` waits for the last one's: half of it the kernel's, for page "
    "tables and for 380 pages that are copied when they are first written to. A bare `os.fork` of a Python whose child "
    "writes one message has 200 of them; see docs/fork.md, What a fork costs"
)

_FIRST = (
    "the first fork after much was written looks through all of it once, for names that are links of one another; a "
    "child takes besides what it does without files"
)
_COPIED = (
    "each child gets a file of its own for each of the parent's, and the kernel takes most of that time: `cp -a` takes "
    "30 µs of processor time for a small file on ext4; a tenth of a second for each gigabyte besides, where the file "
    "system shares no blocks"
)


_CASES = {
    "prepared": "fork-prepared",
    "small state": "fork-small",
    "100 MB in arrays": "fork-arrays-100-mb",
    "1 GB in arrays": "fork-arrays-1-gb",
    "1 GB in byte": "fork-bytes-1-gb",
    "1 GB in small objects": "fork-objects-1-gb",
    "10,000 files": "fork-files-10-000",
    "500 MB of files": "fork-files-500-mb",
    "an environment": "fork-environment",
}
_FLOOR = 0.5


def _of_fork(
    operation: str, measurement: str, limit: float, why_not: str = _CHILD, backends: tuple[str, ...] = ()
) -> Price:
    """`limit` is in ms on a machine whose floor is 0.5 ms. As a multiple of the floor it holds for a slower one too."""
    case = next(case for part, case in _CASES.items() if part in measurement)
    return Price(operation, case, measurement, limit / _FLOOR, "floor", why_not, backends)


def _of_files(held: str) -> tuple[Price, ...]:
    """Layers cost as if nothing were held, and a little; copies what they copy."""
    limits = ((1, 6.5, 150), (5, 19, 400))
    return tuple(
        _of_fork(f"`fork({count})`, {held}", f"fork({count}), {held}", limit, why_not, backends)
        for count, by_layers, by_copies in limits
        for limit, why_not, backends in (
            (by_layers, _FIRST, ("namespace",)),
            (by_copies, _COPIED, ("preload", "portable")),
        )
    )


PRICES = (
    Price("`run_code('1+1')`", "exec-sum", "exec: 1+1", 1.2, "floor", _TWO_PROCESSES),
    Price(
        "`Sandbox()` with a client of its own, pool warm",
        "create-warm",
        "create: Sandbox()",
        1.6,
        "floor",
        "it makes an HTTP client and opens a connection, which the floor has already",
    ),
    Price("`Sandbox(client=...)`, pool warm", "create-warm", "create: Sandbox(client=...)", 1.6, "floor"),
    Price(
        "`run_code('true', language='bash')`",
        "exec-bash",
        "exec: bash true",
        2.7,
        "floor",
        "bash alone, from its start to its end, takes about three times the floor",
    ),
    Price(
        "the first `fork(1)` of a sandbox", "fork-first", "fork(1), first of a sandbox", 2.5, "floor", _CHILD
    ),
    Price("`fork(1)`, small state", "fork-small", "fork(1), small state", 2.5, "floor", _CHILD),
    Price("`fork(5)`, small state", "fork-small", "fork(5), small state", 5, "floor", _CHILD),
    _of_fork("`fork(32)`, small state", "fork(32), small state", 20),
    _of_fork(
        "prepared sandbox: a test's fork of it", "fork(1) of a prepared sandbox", 1, backends=("namespace",)
    ),
    _of_fork("`fork(5)`, 100 MB resident", "fork(5), 100 MB in arrays", 8),
    _of_fork("`fork(5)`, 1 GB in numeric buffers", "fork(5), 1 GB in arrays", 15),
    _of_fork("`fork(5)`, 1 GB in bytearrays", "fork(5), 1 GB in bytearrays", 15),
    _of_fork("`fork(5)`, 1 GB in bytes", "fork(5), 1 GB in bytes", 15),
    _of_fork("`fork(5)`, 1 GB of small objects", "fork(5), 1 GB in small objects", 15),
    *(
        price
        for held in ("10,000 files", "500 MB of files", "an environment with pandas")
        for price in _of_files(held)
    ),
    Price(
        "idle sandbox, 200 at once",
        "memory",
        "memory of each of 200 idle sandboxes",
        3,
        "MB",
        "a third of it is the init of each family, an interpreter that has touched its pages",
    ),
    Price("a call after a timeout", "after-a-timeout", "the next call after a timeout", 300, "ms"),
    Price(
        "a call after a cancelled `await`",
        "after-a-cancelled-await",
        "the next call after a cancelled await",
        300,
        "ms",
    ),
    Price(
        "an adapter's call after a cancelled one",
        "after-a-cancelled-tool",
        "the next call of a tool after a cancelled one",
        300,
        "ms",
    ),
    Price("plugin installed and unused", "plugin-unused", "pytest: added by the plugin unused", 5, "ms"),
    Price(
        "first fixture, cold",
        "first-fixture",
        "first fixture, cold",
        300,
        "ms",
        "half of it is importing the HTTP server; and preload and portable make the first directories on the disk. "
        "Next: fewer of them before the first sandbox",
    ),
)
