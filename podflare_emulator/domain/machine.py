"""The machine behind a sandbox's id. A merge gives the id another one."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from msgspec import Struct

from podflare_emulator.domain.events import Journal, Lines
from podflare_emulator.domain.history import History
from podflare_emulator.domain.terminals import Terminals
from podflare_emulator.hosting.guests.guest import Guest
from podflare_emulator.hosting.guests.output import Stream

_log = logging.getLogger("podflare_emulator")


class SandboxOrder(Struct, frozen=True):
    """The request of a create. Times in seconds, `ram_mib` in MiB, `rootfs_gb` in GiB; None: the service's default."""

    template: str = "default"
    timeout_seconds: int | None = None
    idle_timeout_seconds: int | None = None
    ram_mib: int | None = None
    rootfs_gb: int | None = None
    persistent: bool = False
    egress: bool = True
    region: str | None = None


class Machine:
    """The guest, the journal of its output, and the history of the code it ran.

    `another` makes a new guest of the same kind, with the files that this one had in the beginning. `history` is None
    if nobody will repeat it, to save memory: the code of an upload is as large as the file.
    """

    def __init__(
        self,
        guest: Guest,
        another: Callable[[], Awaitable[Guest]],
        order: SandboxOrder,
        *,
        history: History | None = None,
        forkable: bool = True,
        egress: bool = True,
    ) -> None:
        self.guest = guest
        self.another = another
        self.history = history
        self.forkable = forkable
        self.egress = egress
        self.order = order
        self.journal = Journal()
        self.terminals = Terminals()
        self._background = {"stdout": Lines(guest.jail.hidden), "stderr": Lines(guest.jail.hidden)}
        self.rest()

    def child(self, guest: Guest) -> Machine:
        """The machine of a fork's child."""
        history = self.history and self.history.copy()
        return Machine(guest, self.another, self.order, history=history, egress=self.egress)

    def rest(self) -> None:
        """From now on, output belongs to no exec."""
        self.guest.sink = self._note

    def _note(self, stream: Stream, data: bytes) -> None:
        for line in self._background[stream].feed(data):
            self.journal.background.append(line)
            _log.debug("output while no exec runs: %s", line)
