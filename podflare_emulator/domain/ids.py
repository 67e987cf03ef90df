"""Where ids come from: chance, or a seed, which makes the logs of a test comparable with those of its last run."""

from __future__ import annotations

import random
from collections.abc import Container


class Ids:
    """With a seed, the same ones come in the same order after each `restart`.

    `lasting`: while it is true, and until a restart at most, ids are for what outlives one. They come from a series of
    their own, so that a test draws the same ids whether such a thing was made before it, in it, or not at all.
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
        """A new one; none of those that are `taken`."""
        source = self._for_lasting if self.lasting else self._for_others
        while (drawn := f"sbx_{source.getrandbits(128):032x}") in taken:
            pass
        return drawn

    def space(self, taken: Container[str]) -> str:
        """The same, of a Space."""
        while (drawn := f"spc_{self._for_others.getrandbits(128):032x}") in taken:
            pass
        return drawn

    def event(self) -> str:
        """Of a webhook's event."""
        return f"evt_{self._for_events.getrandbits(128):032x}"

    def _source(self, name: str) -> random.Random:
        return random.SystemRandom() if self._seed is None else random.Random(f"{self._seed}:{name}")
