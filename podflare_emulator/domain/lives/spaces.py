"""Spaces: frozen machines, until each is resumed or deleted."""

from __future__ import annotations

import asyncio
import logging

from msgspec import Struct

from podflare_emulator.domain.lives.kept_spaces import Kept, KeptSpaces
from podflare_emulator.domain.machine import Machine
from podflare_emulator.domain.sandbox import Frozen
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.vocabulary.sandbox_errors import SpaceNotFound

_log = logging.getLogger("podflare_emulator")


class Space(Struct, frozen=True):
    id: str
    frozen: Frozen

    @property
    def region(self) -> str | None:
        """The region that it can be resumed in; None: any."""
        return self.frozen.machine.order.region


class Spaces:
    """Spaces by id. Only one caller can take each.

    `kept`: those that outlive the emulator: copies of the Spaces here, and those that an earlier emulator has left.
    """

    def __init__(self, kept: KeptSpaces | None) -> None:
        self._spaces: dict[str, Space] = {}
        self._kept = kept

    def __contains__(self, space_id: object) -> bool:
        return space_id in self._spaces or (self._kept is not None and space_id in self._kept)

    def add(self, space: Space) -> None:
        self._spaces[space.id] = space

    async def keep(self, space_id: str, sandbox_id: str, machine: Machine) -> None:
        """Copies a machine that is about to be frozen, for a later emulator."""
        if self._kept is None:
            return
        try:
            await self._kept.keep(space_id, sandbox_id, machine)
        except (HostingError, OSError) as error:
            _log.warning("%s will end with this emulator, as it could not be saved: %s", space_id, error)

    def take(self, space_id: str, region: str | None = None) -> Space | Kept:
        """Raises SpaceNotFound, also for a Space in another region: a snapshot stays where it was made."""
        space: Space | Kept | None = self._spaces.get(space_id)
        if space is None and self._kept:
            space = self._kept.find(space_id)
        if space is None or (region and space.region and region != space.region):
            raise SpaceNotFound
        if isinstance(space, Kept):
            space.claim()
        else:
            del self._spaces[space_id]
        return space

    def give_back(self, space: Space | Kept) -> None:
        """Puts back a Space that was taken and could not be used."""
        if isinstance(space, Kept):
            space.release()
        else:
            self.add(space)
            if self._kept:
                self._kept.release(space.id)

    def forget(self, space_id: str) -> None:
        """The Space has been taken for good."""
        if self._kept:
            self._kept.remove(space_id)

    def forget_all(self) -> None:
        if self._kept:
            self._kept.remove_all()

    async def end_all(self) -> None:
        """Ends the Spaces here, but leaves the copies."""
        spaces, self._spaces = self._spaces, {}
        await asyncio.gather(*(space.frozen.machine.guest.end() for space in spaces.values()))
