"""Times that a caller gives."""

from __future__ import annotations

import math

from podflare.errors import InvalidArgumentError

_LONGEST = 2_000_000.0
"""Seconds, 23 days: a socket takes hardly more. What is longer is no limit."""

_IN_A_SECOND = {"seconds": 1, "milliseconds": 1000}


def limit(name: str, given: object, unit: str = "seconds", *, zero: bool = False) -> float | None:
    """Seconds as sockets and locks take them; None for no limit.

    Args:
        name: What the caller calls it.
        given: What the caller has given.
        unit: Of what is given, `seconds` or `milliseconds`.
        zero: Whether it may be 0 or less, for not to wait at all.

    Raises:
        InvalidArgumentError: If it is neither None nor a number, or not positive.
    """
    if given is None:
        return None
    number = isinstance(given, (int, float)) and not math.isnan(given)
    if not number or not (zero or given > 0):  # type: ignore[operator]
        kind = "number" if zero else "positive number"
        raise InvalidArgumentError(f"{name} must be a {kind} of {unit}, or None for no limit, not {given!r}")
    seconds = float(given) / _IN_A_SECOND[unit]  # type: ignore[arg-type]
    return seconds if seconds < _LONGEST else None
