"""What an adapter that makes its own sandbox makes it with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from podflare.client import Client


class SandboxSettings(TypedDict, total=False):
    """The arguments of `Sandbox`."""

    template: str | None
    host: str | None
    api_key: str | None
    client: Client | None
    traceparent: str | None
    region: str | None
    timeout_seconds: int | None
    idle_timeout_seconds: int | None
    ram_mib: int | None
    rootfs_gb: int | None
    persistent: bool | None
    egress: bool | None


CONNECTION = frozenset({"region", "host", "api_key", "client", "traceparent"})
"""Those that say how a sandbox is reached, which one that exists needs as well."""


def check_names(settings: Mapping[str, Any]) -> None:
    """Raises TypeError for what is no argument of `Sandbox`."""
    for name in settings:
        if name not in SandboxSettings.__annotations__:
            known = ", ".join(SandboxSettings.__annotations__)
            raise TypeError(f"there is no argument {name!r}; a sandbox has: {known}")
