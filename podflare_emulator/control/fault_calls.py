"""The failures and delays that a test may inject: the part of `Control` about faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from podflare_emulator.domain.testing.faults import Fault, Faults, read_fault, read_latency
from podflare_emulator.vocabulary.arguments import is_seconds, signature_mismatch
from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest


class Door(Protocol):
    """The server's listener."""

    async def refuse(self, seconds: float | None) -> None: ...

    async def accept(self) -> None: ...


class FaultControl:
    def __init__(self, faults: Faults, door: Door) -> None:
        self._faults = faults
        self._door = door

    async def add_fault(self, **order: Any) -> int:
        """Injects a fault into calls until the next reset; returns its number. See `Emulator.fault` for the arguments.

        Here, the code to look for is a regular expression: `pattern`, with its `flags`.
        """
        return self._faults.add(read(read_fault, order))

    async def add_latency(self, **order: Any) -> int:
        """Until the next reset, delays the answers of calls by a random number of seconds from `low` to `high`."""
        return self._faults.add(read(read_latency, order))

    async def faults_used(self) -> list[tuple[int, int]]:
        """The number of each fault and latency, and how many calls it has affected."""
        return self._faults.used()

    async def use_profile(self, profile: str) -> None:
        """Until the next reset, calls take at least as long as on the service (`hosted`), or as they do (`local`)."""
        self._faults.use(profile)

    async def suspend_faults(self) -> None:
        """Turns faults and latencies off until as many calls of `resume_faults` have followed, or a reset."""
        self._faults.suspend()

    async def resume_faults(self) -> None:
        """Ends one `suspend_faults`."""
        self._faults.resume()

    async def refuse_connections(self, seconds: float | None = None) -> None:
        """Refuses connections for `seconds`, or until `accept_connections` or a reset; resets open ones."""
        if seconds is not None and not (is_seconds(seconds) and seconds > 0):
            raise InvalidRequest(f"seconds: expected more than 0, got {seconds!r}")
        await self._door.refuse(seconds)

    async def accept_connections(self) -> None:
        """Ends `refuse_connections`."""
        await self._door.accept()


def read(reader: Callable[..., Fault], order: dict[str, Any]) -> Fault:
    """Reads an order with `reader`; raises InvalidRequest, also for an unknown name."""
    mistake = signature_mismatch(reader, **order)
    if mistake:
        raise InvalidRequest(mistake)
    return reader(**order)
