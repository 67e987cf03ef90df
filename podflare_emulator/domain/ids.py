"""Random ids; with a seed they repeat, so that a test's logs are comparable from run to run."""

from __future__ import annotations

import random
from collections.abc import Container


class Ids:
    """With a seed, the same ids come in the same order after each `restart`.

    `lasting`: while true, ids are for sandboxes that survive a restart. They come from a separate series, so that a
    test draws the same ids whether such a sandbox was made before it, in it, or not at all. `restart` turns it off.
    """

    def __init__(self, seed: int | None) -> None:
        self._seed = seed
        self._for_lasting = self._source("lasting")
        self.restart()

    def restart(self) -> None:
        self._for_others = self._source("ids")
        self._for_events = self._source("events")
        self.lasting = False

    def sandbox(self, taken: Container[str]) -> str:
        """A new sandbox id that is not in `taken`."""
        source = self._for_lasting if self.lasting else self._for_others
        while (drawn := f"sbx_{source.getrandbits(128):032x}") in taken:
            pass
        return drawn

    def space(self, taken: Container[str]) -> str:
        """A new Space id that is not in `taken`."""
        while (drawn := f"spc_{self._for_others.getrandbits(128):032x}") in taken:
            pass
        return drawn

    def event(self) -> str:
        """A new id for a webhook's event."""
        return f"evt_{self._for_events.getrandbits(128):032x}"

    def _source(self, name: str) -> random.Random:
        return random.SystemRandom() if self._seed is None else random.Random(f"{self._seed}:{name}")
