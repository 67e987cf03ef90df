"""Limits that a single sandbox can have."""

from __future__ import annotations

from msgspec import Struct


class Limits(Struct, frozen=True):
    """`egress`: whether it reaches the network; `ram_mib` in MiB and `rootfs_gb` in GiB, None for no limit."""

    egress: bool = True
    ram_mib: int | None = None
    rootfs_gb: int | None = None

    @property
    def custom(self) -> bool:
        """Whether its size is custom: such a sandbox does not come from the pool, and cannot fork (contract)."""
        return self.ram_mib is not None or self.rootfs_gb is not None
