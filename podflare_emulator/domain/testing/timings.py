"""How long calls take on the service, by the vendor's published figures (contract: timings)."""

from podflare_emulator.domain.testing.calls import Asked

COLD_BOOT = 1.4
"""Seconds that a create takes if the warm pool has no guest for it."""

_CALLS = {
    "create": (0.007, 0.011),
    "exec": (0.003, 0.005),
    "destroy": (0.030, 0.050),
}
_UNKNOWN = (0.0, 0.0)


def published(asked: Asked) -> tuple[float, float]:
    """The least and most seconds that this call takes there; zeros, for no delay, if no figure is published."""
    if asked.call == "fork":
        return _fork(asked.n)
    if asked.custom:
        return COLD_BOOT, COLD_BOOT
    return _CALLS.get(asked.call, _UNKNOWN)


def _fork(n: int) -> tuple[float, float]:
    seconds = {1: 0.092, 2: 0.102}.get(n, 0.101)  # published for 1, 2 and 5
    return seconds, seconds
