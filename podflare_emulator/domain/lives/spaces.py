"""Spaces: machines that stand still, until a resume takes one, or a delete ends it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from podflare_emulator.domain.sandbox import Frozen
from podflare_emulator.vocabulary.sandbox_errors import SpaceNotFound


@dataclass(frozen=True)
class Space:
    """`sandbox`: the id that its machine had. `region`: the one that it can be resumed in; None: any."""

    id: str
    frozen: Frozen
    sandbox: str
    template: str
    region: str | None


class Spaces:
    """By their ids. Each is there once: whoever takes it has it."""

    def __init__(self) -> None:
        self._spaces: dict[str, Space] = {}

    def __contains__(self, space_id: object) -> bool:
        return space_id in self._spaces

    def add(self, space: Space) -> None:
        self._spaces[space.id] = space

    def take(self, space_id: str, region: str | None = None) -> Space:
        """Raises SpaceNotFound, also for one of another region: a snapshot lies where it was made."""
        space = self._spaces.get(space_id)
        if space is None or (region and space.region and region != space.region):
            raise SpaceNotFound
        return self._spaces.pop(space_id)

    async def end_all(self) -> None:
        spaces, self._spaces = self._spaces, {}
        await asyncio.gather(*(space.frozen.machine.guest.end() for space in spaces.values()))
