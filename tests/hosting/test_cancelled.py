"""What is made for a caller that has gone away is given back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator

import psutil
import pytest

from podflare_emulator.guest.protocol import Connection
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.isolation import launch
from podflare_emulator.hosting.launcher import Launcher
from podflare_emulator.hosting.limits import Limits
from podflare_emulator.hosting.machine.interpreter import find
from podflare_emulator.hosting.network import Router
from podflare_emulator.hosting.warden import Config

from ..matrix import SLOW


def jails(launcher: Launcher) -> int:
    """How many the keeper has."""
    children = psutil.Process(launcher._warden.process.pid).children()
    (keeper,) = (child for child in children if child.name() != "podflare-router")
    return sum(file.startswith("mnt:") for file in _open_files(keeper.pid))


def _open_files(pid: int) -> Iterator[str]:
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            yield os.readlink(f"/proc/{pid}/fd/{number}")


@SLOW
def test_a_jail() -> None:
    async def main() -> None:
        try:
            launched = await launch(Config("namespace", find(None), network="host"))
        except HostingError as error:
            pytest.skip(str(error))
        launcher = launched.launcher
        try:
            # Has a size, so that its jail is made now.
            await (await launcher.guest("default", {}, Limits(rootfs_gb=1))).end()
            before = jails(launcher)
            for _ in range(30):
                making = asyncio.ensure_future(launcher.guest("default", {}, Limits(rootfs_gb=1)))
                await asyncio.sleep(0)
                making.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await making
            await (await launcher.guest("default", {}, Limits(rootfs_gb=1))).end()  # after all others
            for _ in range(3000):
                if jails(launcher) <= before + 8:  # a few are made ahead
                    break
                await asyncio.sleep(0.01)
            assert jails(launcher) <= before + 8
        finally:
            await launched.guest.end()
            await launcher.stop()

    asyncio.run(main())


@pytest.mark.parametrize("came_first", ["the answer", "the end"])
def test_a_network(came_first: str) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        theirs.settimeout(30)
        router, there = Router(ours), Connection(theirs)
        making = asyncio.ensure_future(router.network(way_out=False))
        await asyncio.sleep(0)
        asked, _ = there.receive() or ({}, [])
        if came_first == "the end":
            making.cancel()
        there.send({"id": asked["id"], "network": 7}, [theirs.fileno()])
        if came_first == "the answer":
            router.channel._readable()
            making.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await making
        await asyncio.sleep(0)
        assert there.receive() == ({"op": "release", "network": 7, "left": True}, [])
        router.channel.close()
        theirs.close()

    asyncio.run(main())
