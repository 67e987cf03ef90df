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
    """

    operation: str
    case: str
    measurement: str
    limit: float
    unit: PriceUnit
    why_not: str = ""


PRICES = (
    Price("`run_code('1+1')`", "exec-sum", "exec: 1+1", 1.2, "floor"),
    Price(
        "`Sandbox()` with a client of its own, pool warm", "create-warm", "create: Sandbox()", 1.6, "floor"
    ),
    Price("`Sandbox(client=...)`, pool warm", "create-warm", "create: Sandbox(client=...)", 1.6, "floor"),
    Price("`run_code('true', language='bash')`", "exec-bash", "exec: bash true", 2.7, "floor"),
    Price("`fork(1)`, small state", "fork-small", "fork(1), small state", 2.5, "floor"),
    Price("`fork(5)`, small state", "fork-small", "fork(5), small state", 5, "floor"),
    Price("`fork(32)`, small state", "fork-small", "fork(32), small state", 25, "ms"),
    Price("`fork(5)`, 100 MB resident", "fork-arrays-100-mb", "fork(5), 100 MB in arrays", 8, "ms"),
    Price("`fork(5)`, 1 GB in numeric buffers", "fork-arrays-1-gb", "fork(5), 1 GB in arrays", 15, "ms"),
    Price(
        "`fork(5)`, 1 GB of small objects", "fork-objects-1-gb", "fork(5), 1 GB in small objects", 101, "ms"
    ),
    Price("idle sandbox, 200 at once", "memory", "memory of each of 200 idle sandboxes", 3, "MB"),
    Price("plugin installed and unused", "plugin-unused", "pytest: added by the plugin unused", 5, "ms"),
    Price("first fixture, cold", "first-fixture", "first fixture, cold", 300, "ms"),
)
