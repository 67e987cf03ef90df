"""Starts an emulator's processes, and through them makes guests."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import podflare_emulator.guest
from podflare_emulator.guest.order import PROGRAMS, Order, Python, Seed
from podflare_emulator.guest.protocol import Message
from podflare_emulator.guest.system.peers import Address, comes_from
from podflare_emulator.hosting.channel import Channel
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guest import Ends, Guest
from podflare_emulator.hosting.init import Init
from podflare_emulator.hosting.jails import Branch, Jail, Jails
from podflare_emulator.hosting.limits import Limits
from podflare_emulator.hosting.machine.bytecode import compile_directory
from podflare_emulator.hosting.machine.interpreter import find
from podflare_emulator.hosting.network import Router, helper

_log = logging.getLogger("podflare_emulator")

STATE_PREFIX = "podflare-emulator-"
_SPARE_JAILS = 8
_NO_LIMITS = Limits()
_GUEST_CODE = str(Path(podflare_emulator.guest.__file__).parent)


class Launcher:
    """One state directory, one warden, one keeper, and a zygote for each template."""

    def __init__(
        self,
        isolation: str,
        python: Python,
        seeds: tuple[Seed, ...],
        *,
        egress: bool = True,
        egress_denied: str = "refuse",
        egress_unenforced: bool = False,
        files_on_disk: bool = False,
        network: str = "auto",
    ) -> None:
        self._egress = egress
        self._network = network
        self._isolation = isolation
        self._egress_denied = egress_denied
        self._egress_unenforced = egress_unenforced
        self._files_on_disk = files_on_disk
        self._python = python
        self._seeds = seeds
        self._zygotes: dict[str, Zygote] = {}
        self._jails: dict[bool, Jails] = {}  # keyed by whether they have egress
        self._complaints: list[str] = []
        self._stopping = False
        self.no_layers = ""  # why forks cannot share layers of files, if they cannot

    async def start(self) -> None:
        """Raises HostingError, with the kernel's message, if the isolation backend is not available."""
        self._loop = asyncio.get_running_loop()
        network_order = self._network_order()
        compile_directory(_GUEST_CODE)
        self.state = os.path.realpath(tempfile.mkdtemp(prefix=STATE_PREFIX))
        ours, theirs = socket.socketpair()
        router, routers = socket.socketpair()
        complaints, complain = os.pipe()
        lock = os.open(f"{self.state}/.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.rename(f"{self.state}/.lock", f"{self.state}/lock")  # other wardens see it only once it is held
        try:
            self._warden = subprocess.Popen(
                [
                    *(
                        sys.executable if self._python.root else self._python.executable,
                        "-I",
                        "-S",
                        "-B",
                        _GUEST_CODE,
                    ),
                    *("warden", str(theirs.fileno()), self.state),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complain,
                pass_fds=[theirs.fileno(), lock],
                env={},
                cwd="/",
                start_new_session=True,  # Ctrl-C in the terminal must reach only the emulator
            )
        finally:
            theirs.close()
            os.close(complain)
            os.close(lock)
        os.set_blocking(complaints, False)
        self._complaints_pipe = complaints
        self._loop.add_reader(complaints, self._hear)
        self._kept: asyncio.Future[Message] = self._loop.create_future()
        self.keeper = Init(ours, self._received)
        self.keeper.gone.add_done_callback(self._lost)
        order = Order(
            self.state,
            self._isolation,
            self._python,
            self._seeds,
            on_disk=self._files_on_disk,
            drop=self._egress_denied == "drop",
            **network_order,
        )
        self._router = Router(router)
        self.keeper.channel.send(order.message(), [routers.detach()])
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
        self._jails[self._egress].refill()

    def _network_order(self) -> dict[str, str]:
        """The network part of the warden's order; raises HostingError if it is impossible here."""
        if self._isolation != "namespace":
            if self._network == "private":
                raise HostingError("sandboxes share the machine's network here: use --network auto or host")
            return {"network": "host", "helper": ""}
        program = helper() if self._egress else ""
        if self._network == "private" and self._egress and not program:
            raise HostingError(
                f"egress from a private network needs {' or '.join(PROGRAMS)}, and neither is installed: "
                "apt-get install -y slirp4netns, or turn egress off (--no-egress)"
            )
        return {"network": self._network if program else "host", "helper": program}

    async def beside(self, executable: str) -> Launcher:
        """A running launcher of the same kind, for guests with another Python; raises HostingError."""
        python = await asyncio.to_thread(find, executable, self._python.root)
        launcher = Launcher(
            self._isolation,
            python,
            self._seeds,
            egress=self._egress,
            egress_denied=self._egress_denied,
            egress_unenforced=self._egress_unenforced,
            files_on_disk=self._files_on_disk,
            network=self._network,
        )
        await launcher.start()
        return launcher

    @property
    def takes_egress_orders(self) -> bool:
        """Whether a sandbox may be created without egress: that is enforced, or need not be (`egress_unenforced`)."""
        return self._isolation == "namespace" or self._egress_unenforced

    def is_at(self, peer: Address, here: Address) -> bool:
        """Whether a sandbox's process holds the end `peer` of a TCP connection whose other end is `here`."""
        return comes_from(self._warden.pid, peer, here)  # it adopts orphans, so all are its descendants

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
        self._loop.remove_reader(self._complaints_pipe)
        os.close(self._complaints_pipe)

    async def _end_of_the_warden(self) -> None:
        """Waits in a new thread: the loop's executor has shut down by the time `atexit` handlers run."""
        ended = self._loop.create_future()

        def wait() -> None:
            self._warden.wait()
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

    async def copy(self, name: str, order: Message) -> Message:
        """As `Keeper` in jails.py. The keeper starts a process for it, which answers on a separate socket."""
        ours, theirs = socket.socketpair()
        answered: asyncio.Future[Message] = self._loop.create_future()

        def end() -> None:
            if not answered.done():
                answered.set_exception(HostingError("the process that copies files has ended"))

        channel = Channel(ours, lambda message, _: answered.set_result(message), end)
        try:
            self.keeper.channel.send({"op": "copy", "jail": name, **order}, [theirs.detach()])
            return await answered
        finally:
            answered.cancel()
            channel.close()

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
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._complaints_pipe, 1 << 16)
            if not data:
                self._loop.remove_reader(self._complaints_pipe)
            for line in data.decode("utf-8", "replace").splitlines():
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
