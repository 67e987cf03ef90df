"""A server's report of its start, and how long the other side waits for its answers."""

from __future__ import annotations

from typing import NamedTuple

from podflare_emulator.guest.order import Python
from podflare_emulator.hosting.machine.refusal import Refusal

# Seconds after which a server is given up. The kernel counts them, as a test may have stopped every other clock.
START = 60
CALL = 30
STOP = 30

UNBOUNDED = frozenset({"next_question", "run_real", "advance_clock"})  # calls without a time limit


class Started(NamedTuple):
    """What a server has found out when it serves."""

    port: int
    isolation: str
    refusals: tuple[Refusal, ...]
    python: Python
    side_port: int | None
    private_network: bool
