"""How long calls take on the service, as its vendor publishes it (contract: timings)."""

from podflare_emulator.domain.testing.calls import Asked

COLD_BOOT = 1.4
"""Seconds of a create that finds no guest in the warm pool."""

_CALLS = {
    "create": (0.007, 0.011),
    "exec": (0.003, 0.005),
    "destroy": (0.030, 0.050),
}
_UNKNOWN = (0.0, 0.0)


def published(asked: Asked) -> tuple[float, float]:
    """From and to how many seconds this call takes there; a call of which nothing is published takes what it takes."""
    if asked.call == "fork":
        return _fork(asked.n)
    if asked.custom:
        return COLD_BOOT, COLD_BOOT
    return _CALLS.get(asked.call, _UNKNOWN)


def _fork(n: int) -> tuple[float, float]:
    seconds = {1: 0.092, 2: 0.102}.get(n, 0.101)  # published for 1, 2 and 5
    return seconds, seconds
