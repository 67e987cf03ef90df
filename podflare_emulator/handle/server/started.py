"""What a server reports when it has started, and how long the other side waits for that."""

from __future__ import annotations

from dataclasses import dataclass

from podflare_emulator.guest.order import Python
from podflare_emulator.hosting.refusal import Refusal

# Seconds after which a server is given up. They are counted by the kernel: a test may have stopped every other clock.
START = 60
CALL = 30
STOP = 30

UNBOUNDED = frozenset(
    {"next_question", "run_real", "advance_clock"}
)  # calls that last as long as what they wait for


@dataclass(frozen=True)
class Started:
    """What a server that serves has found out."""

    port: int
    isolation: str
    refusals: tuple[Refusal, ...]
    python: Python
    side_port: int | None
    private_network: bool
