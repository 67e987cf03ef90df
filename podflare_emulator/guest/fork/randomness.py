"""The state of `random`: CPython reseeds it in a forked child, but a restored snapshot does not."""

from __future__ import annotations

import sys
from typing import Any


def state() -> Any:
    """The state of the generator behind the functions of `random`; None if there is none, or it has none."""
    try:
        generator = _generator()
        return generator and generator.getstate()
    except Exception:  # the user has put another generator there
        return None


def restore(state: Any) -> None:
    """Continues with the numbers that would have been drawn next in that state, which may come from JSON."""
    generator = _generator()
    if generator and state:
        version, numbers, gauss = state
        generator.setstate((version, tuple(numbers), gauss))


def _generator() -> Any:
    # A module of the user with that name does not have it.
    return getattr(sys.modules.get("random"), "_inst", None)
