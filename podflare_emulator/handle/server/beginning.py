"""Begins what a server needs for its sandboxes, before the server itself is loaded."""

from __future__ import annotations

import sys
from contextlib import suppress

from msgspec.structs import replace

from podflare_emulator.guest.order import Python, Seed
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.machine.interpreter import find
from podflare_emulator.hosting.warden import Config, Warden
from podflare_emulator.vocabulary.settings import Settings


def hosting(settings: Settings, python: Python) -> Config:
    """How these settings want sandboxes to be hosted."""
    return Config(
        settings.isolation,
        python,
        tuple(Seed(mount.source, mount.target) for mount in settings.mounts),
        egress=settings.egress,
        egress_denied=settings.egress_denied,
        egress_unenforced=settings.egress_unenforced,
        files_on_disk=settings.files_on_disk,
        network=settings.network,
    )


def begin(settings: Settings, entries: list[str]) -> Warden | None:
    """Begins the warden of the backend that is tried first; None where it may not be needed, or cannot begin.

    `entries`: as in `find`.
    """
    if settings.rootfs or sys.platform != "linux" or settings.isolation not in ("auto", "namespace"):
        return None
    with suppress(HostingError, OSError):  # the launch meets the same, and reports it
        config = hosting(settings, find(settings.python, "", entries))
        return Warden(replace(config, isolation="namespace"))
    return None
