"""Starts an emulator's processes, and through them makes guests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import socket
import threading
from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from podflare_emulator.guest.protocol import Message
from podflare_emulator.guest.system.peers import Address, comes_from
from podflare_emulator.hosting.channel import Channel
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guests.ends import Ends
from podflare_emulator.hosting.guests.guest import Guest
from podflare_emulator.hosting.init import Init
from podflare_emulator.hosting.jails import Branch, Jail, Jails
from podflare_emulator.hosting.limits import Limits
from podflare_emulator.hosting.machine.interpreter import find
from podflare_emulator.hosting.network import Router
from podflare_emulator.hosting.warden import Config, Warden

_log = logging.getLogger("podflare_emulator")

_SPARE_JAILS = 8
_MOST_TARGETS = 8  # of a process that copies: it holds up to 33 directories of each open
_NO_LIMITS = Limits()


class Launcher:
    """One state directory, one warden, one keeper, and a zygote for each template."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._isolation = config.isolation
        self._python = config.python
        self._zygotes: dict[str, Zygote] = {}
        self._jails: dict[bool, Jails] = {}  # keyed by whether they have egress
        self._complaints: list[str] = []
        self._stopping = False
        self.no_layers = ""  # why forks cannot share layers of files, if they cannot

    async def start(self, begun: Warden | None = None) -> None:
        """Raises HostingError, with the kernel's message, if the isolation backend is not available.

        `begun`: a warden that has begun with the same configuration.
        """
        self._loop = asyncio.get_running_loop()
        self._warden = begun or Warden(self._config)
        os.set_blocking(self._warden.complaints.fileno(), False)
        self._loop.add_reader(self._warden.complaints, self._hear)
        self._kept: asyncio.Future[Message] = self._loop.create_future()
        self.keeper = Init(self._warden.keeper, self._received)
        self.keeper.gone.add_done_callback(self._lost)
        self._router = Router(self._warden.router)
        try:
            answer = await self._kept
            if "failed" in answer:
                raise HostingError(answer["failed"])
            self.private_network = self._isolation == "namespace" and await self._router.private()
        except BaseException:
            await self.stop()
            raise
        self._jails = {
            egress: Jails(partial(self._make_jail, egress=egress), _SPARE_JAILS) for egress in (True, False)
        }
        self._jails[self._config.egress].refill()

    async def beside(self, executable: str) -> Launcher:
        """A running launcher of the same kind, for guests with another Python; raises HostingError."""
        python = await asyncio.to_thread(find, executable, self._python.root)
        launcher = Launcher(replace(self._config, python=python))
        await launcher.start()
        return launcher

    @property
    def takes_egress_orders(self) -> bool:
        """Whether a sandbox may be created without egress: that is enforced, or need not be (`egress_unenforced`)."""
        return self._isolation == "namespace" or self._config.egress_unenforced

    def is_at(self, peer: Address, here: Address) -> bool:
        """Whether a sandbox's process holds the end `peer` of a TCP connection whose other end is `here`."""
        return comes_from(
            self._warden.process.pid, peer, here
        )  # it adopts orphans, so all are its descendants

    async def guest(self, template: str, preload: dict[str, str], limits: Limits = _NO_LIMITS) -> Guest:
        """A new guest in a new family; raises HostingError if it cannot be made."""
        if not (limits.egress or self.takes_egress_orders):
            raise HostingError(
                f"{self._isolation} isolation cannot keep sandboxes off the network; "
                "--egress-unenforced creates them anyway"
            )
        if limits.rootfs_gb is not None and self._sizes_disks:
            jail = await self._make_jail(limits.rootfs_gb, egress=limits.egress)
        else:
            (jail,) = await self._jails[limits.egress].take(1)
        guest: Guest | None = None
        try:
            zygote = self._zygotes.get(template)
            if zygote is None or zygote.channel.closed:
                zygote = self._zygotes[template] = self._start_zygote(preload)
            await asyncio.shield(zygote.ready)
            guest = zygote.spawn(jail, self._imposed(limits), self.keeper)
            guest.take_jails = self._jails[limits.egress].take
            await guest.arrive()
        except BaseException:
            if guest is not None:
                await guest.end()
            else:
                jail.let_go()
            raise
        return guest

    async def stop(self) -> None:
        """Ends every process and waits until the warden has removed what they left."""
        self._stopping = True
        for jails in self._jails.values():
            jails.close()
        for zygote in self._zygotes.values():
            zygote.channel.close()
        self._router.channel.close()
        self.keeper.channel.close()
        await self._end_of_the_warden()
        self._hear()
        self._loop.remove_reader(self._warden.complaints)
        self._warden.complaints.close()

    async def _end_of_the_warden(self) -> None:
        """Waits in a new thread: the loop's executor has shut down by the time `atexit` handlers run."""
        ended = self._loop.create_future()

        def wait() -> None:
            self._warden.process.wait()
            self._loop.call_soon_threadsafe(ended.set_result, None)

        waiting = threading.Thread(target=wait, name="podflare-emulator-end", daemon=True)
        waiting.start()
        await ended
        waiting.join()  # who counts threads afterwards finds as many as before

    def _start_zygote(self, preload: dict[str, str]) -> Zygote:
        ours, theirs = socket.socketpair()
        self.keeper.channel.send({"op": "zygote"}, [theirs.detach()])
        start = {
            "isolation": self._isolation,
            "state": self._inside_state,
            "version": self._python.version,
            "shared": self._shared,
            "places": self._places,
            "mounts": self._mounts,
            "preload": preload,
        }
        return Zygote(ours, start, namespaces=self._isolation == "namespace")

    @property
    def _sizes_disks(self) -> bool:
        """Whether a whole jail can be limited in size; otherwise each file is."""
        return self._isolation == "namespace"

    def _imposed(self, limits: Limits) -> Message:
        """The limits that the zygote imposes."""
        return {
            "ram_mib": limits.ram_mib,
            "file_gb": None if self._sizes_disks else limits.rootfs_gb,
        }

    async def _make_jail(self, disk_gb: int | None = None, *, egress: bool) -> Jail:
        network = None
        if self._isolation == "namespace" and (self.private_network or not egress):
            network = await self._router.network(way_out=egress)
        try:
            answer, descriptors = await self.keeper.channel.request({"op": "jail", "disk_gb": disk_gb})
        except BaseException:
            if network:
                network.release(left=True)
            raise
        name = answer["jail"]
        ticket = {"tree": f"{self._inside_state}/jails/{name}", "baseline": answer["baseline"]}
        hidden = b"" if self._isolation == "namespace" else os.fsencode(ticket["tree"])
        return Jail(
            name,
            ticket,
            descriptors,
            hidden,
            self,
            network=network,
            settles_in=answer["settles_in"],
        )

    async def branch(self, parent: str, children: Sequence[str], *, freeze: bool) -> Branch:
        """As `Keeper` in jails.py."""
        order = {"op": "branch", "jail": parent, "children": [*children], "freeze": freeze}
        answer, descriptors = await self.keeper.channel.request(order)
        return Branch(answer["depth"], descriptors)

    async def copy(self, parent: str, children: Sequence[str], order: Message) -> Message:
        """As `Keeper` in jails.py. There is a process for each processor, and each copies to some of the children."""
        processes = max(min(len(children), os.cpu_count() or 1), math.ceil(len(children) / _MOST_TARGETS))
        copying = [self._copy(parent, children[first::processes], order) for first in range(processes)]
        done = await asyncio.gather(
            *copying, return_exceptions=True
        )  # all of them: they write to the children's trees
        answers: list[Message] = []
        for answer in done:
            if isinstance(answer, BaseException):
                raise answer
            answers.append(answer)
        return answers[0]  # they have read the same tree

    async def _copy(self, parent: str, children: Sequence[str], order: Message) -> Message:
        """The keeper starts a process for it, which answers on a separate socket."""
        ours, theirs = socket.socketpair()
        answered: asyncio.Future[Message] = self._loop.create_future()

        def end() -> None:
            if not answered.done():
                answered.set_exception(HostingError("the process that copies files has ended"))

        channel = Channel(ours, lambda message, _: answered.set_result(message), end)
        try:
            message = {"op": "copy", "jail": parent, "children": children, **order}
            self.keeper.channel.send(message, [theirs.detach()])
            answer = await answered
        finally:
            answered.cancel()
            channel.close()
        if "failed" in answer:
            raise HostingError(answer["failed"])
        return answer

    def stay(self, parent: str) -> None:
        with contextlib.suppress(HostingError):
            self.keeper.channel.send({"op": "stay", "jail": parent})

    def remove(self, name: str, left: bool) -> None:
        with contextlib.suppress(HostingError):
            self.keeper.channel.send({"op": "remove", "jail": name, "left": left})

    def _received(self, message: Message, descriptors: list[int]) -> None:
        for number in descriptors:
            os.close(number)
        if "jail" in message:  # nobody waits for it now
            self.remove(message["jail"], left=True)
        if not self._kept.done():
            self._inside_state = message.get("state", "")
            self._shared = message.get("shared", [])
            self._places = message.get("places", [])
            self._mounts = message.get("mounts", [])
            self.no_layers = message.get("no_layers", "")
            self._kept.set_result(message)

    def _lost(self, _: object) -> None:
        """The keeper is gone. Unless we are stopping, everything inside is gone with it."""
        if not self._kept.done():
            self._hear()
            reason = " ".join(self._complaints[-3:]) or "no reason given"
            self._kept.set_result({"failed": f"the keeper ended before it was ready: {reason}"})
        elif not self._stopping:
            _log.error("the keeper has ended, and every sandbox with it")

    def _hear(self) -> None:
        """Processes inside write to stderr only if they have a bug: keep the last lines, and log them."""
        data = self._warden.complaints.read(1 << 16)
        if data == b"":
            self._loop.remove_reader(self._warden.complaints)
        for line in (data or b"").decode("utf-8", "replace").splitlines():
            self._complaints = [*self._complaints[-20:], line]
            if not self._stopping:  # while stopping, it is only a guest interrupted in its start
                _log.warning("inside: %s", line)


class Zygote:
    """The host's handle on one zygote."""

    def __init__(self, sock: socket.socket, start: Message, *, namespaces: bool) -> None:
        self._namespaces = namespaces
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.channel = Channel(sock, self._received, self._closed)
        self.channel.send(start)

    def spawn(self, jail: Jail, imposed: Message, keeper: Init) -> Guest:
        """Asks for a guest; `Guest.arrive` waits until it is ready. Raises HostingError."""
        ends = Ends(with_init=self._namespaces)
        try:
            self.channel.send({**jail.ticket, **imposed}, [*ends.given, *jail.give_entrance()])
        except HostingError:
            ends.close_kept()
            raise
        return Guest(ends, jail, Init(ends.init) if ends.init else keeper)

    def _received(self, message: Message, descriptors: list[int]) -> None:
        if self.ready.done():
            return
        if "failed" in message:
            self.ready.set_exception(HostingError(message["failed"]))
        else:
            self.ready.set_result(None)

    def _closed(self) -> None:
        if not self.ready.done():
            self.ready.set_exception(HostingError("the zygote ended before it was ready"))
