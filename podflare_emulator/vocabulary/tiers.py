"""The limits of billing tiers. A request for more is not refused but silently capped (contract: tier caps)."""

from __future__ import annotations

from typing import NamedTuple

from podflare_emulator.vocabulary.settings import TierName


class Lifespan(NamedTuple):
    """How long a sandbox lives: `timeout` seconds in all, `idle` seconds without an exec. A `persistent` one is then
    frozen into a Space instead of being destroyed."""

    timeout: float
    idle: float
    persistent: bool


class Tier(NamedTuple):
    """The maxima in seconds, MiB and GiB. A time that is not asked for is the maximum."""

    timeout: int
    idle: int
    ram_mib: int
    rootfs_gb: int
    persistent: bool

    def lifespan(self, timeout: int | None, idle: int | None, persistent: bool) -> Lifespan:
        return Lifespan(
            min(timeout or self.timeout, self.timeout),
            min(idle or self.idle, self.idle),
            persistent and self.persistent,
        )

    def ram(self, mib: int | None) -> int | None:
        return mib and min(mib, self.ram_mib)

    def disk(self, gb: int | None) -> int | None:
        return gb and min(gb, self.rootfs_gb)


_MINUTE, _HOUR = 60, 3600
TIERS: dict[TierName, Tier] = {
    "free": Tier(30 * _MINUTE, 5 * _MINUTE, 1024, 4, persistent=False),
    "pro": Tier(8 * _HOUR, 30 * _MINUTE, 4096, 16, persistent=True),
    "scale": Tier(24 * _HOUR, 2 * _HOUR, 16384, 64, persistent=True),
}
