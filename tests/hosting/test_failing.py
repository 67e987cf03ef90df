"""What fails leaves nothing open, and no process."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

import psutil
import pytest

from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guests.ends import Ends
from podflare_emulator.hosting.isolation import launch
from podflare_emulator.hosting.limits import Limits
from podflare_emulator.hosting.machine.interpreter import find
from podflare_emulator.hosting.network import Router
from podflare_emulator.hosting.warden import Config


@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
@pytest.mark.parametrize("left", range(7))  # and that of the listing; it takes eight
def test_a_guest_at_the_limit_of_open_files(left: int) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = set(map(int, os.listdir("/proc/self/fd")))
    free = [number for number in range(len(used) + left + 1) if number not in used]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[left], limits[1]))
    try:
        with pytest.raises(HostingError, match="Too many open files"):
            Ends(with_init=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert set(map(int, os.listdir("/proc/self/fd"))) <= used


def test_a_launch_without_a_router(monkeypatch: pytest.MonkeyPatch) -> None:
    async def private(router: Router) -> bool:
        raise HostingError("the router ended before it was ready")

    monkeypatch.setattr(Router, "private", private)
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(HostingError, match="namespace isolation is not available here"):
        asyncio.run(launch(Config("namespace", find(None))))
    assert set(psutil.Process().children(recursive=True)) <= before


def test_a_jail_that_cannot_be_prepared() -> None:
    async def main() -> None:
        try:
            launched = await launch(Config("namespace", find(None)))
        except HostingError as error:
            pytest.skip(str(error))
        launcher = launched.launcher
        inside = psutil.Process(launcher._warden.process.pid).children(recursive=True)
        zygote = next(process for process in inside if "zygote" in process.cmdline())
        jails = Path(f"/proc/{zygote.pid}/root/state/jails")
        before = set(jails.iterdir())
        try:
            for _ in range(100):
                with pytest.raises(HostingError):
                    await launcher.guest("default", {}, Limits(rootfs_gb=-1))  # which no file system can have
            while len(set(jails.iterdir()) - before) >= 100:  # fewer are made ahead
                await asyncio.sleep(0.01)
        finally:
            await launched.guest.end()
            await launcher.stop()

    asyncio.run(asyncio.wait_for(main(), 30))
