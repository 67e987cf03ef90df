"""The router: gives sandboxes private networks under the namespace backend, and their connections a way out.

It runs on the host, like the warden, in the machine's network. A network without a way out is a namespace that has only
loopback. A network with a way out also has an interface. When the first frame leaves by that, the router attaches a
user-mode TCP/IP stack (slirp4netns, pasta) to its other end, which translates the traffic into its own connections.
Most sandboxes never need one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import signal
import socket
import sys
from collections import deque
from collections.abc import Sequence

from ..order import Order
from ..protocol import Connection, Message
from ..system import kernel, network
from . import networks, way_out

_MOST_SPARE = 32
_AT_ONCE = 8


def trial() -> str:
    """Why this machine allows no network with a way out; "" if it does. In a child process: it cannot be undone."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNET)
            network.make_way_out()
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            os.write(writer, f"{place}{error.strerror}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        words = pipe.read()
    os.waitpid(child, 0)
    return words


def start(descriptor: int, order: Order, user_namespace: int) -> None:
    """Warden: forks the router, which serves the host on `descriptor`."""
    if os.fork():
        return
    try:
        kernel.name_process("podflare-router")
        needed = sorted({2, descriptor, user_namespace})
        for before, number in itertools.pairwise((*needed, os.sysconf("SC_OPEN_MAX"))):
            os.closerange(before + 1, number)
        os.set_inheritable(descriptor, False)
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            kernel.name_process("podflare-nets")
            ours.close()
            os.close(descriptor)
            networks.serve(Connection(theirs), user_namespace)
            os._exit(0)
        theirs.close()
        Router(Connection(socket.socket(fileno=descriptor)), Connection(ours), order, user_namespace).serve()
    except BaseException as error:
        sys.stderr.write(f"the router has ended: {error!r}\n")
    finally:
        os._exit(0)


class _Network:
    def __init__(self, namespace: int) -> None:
        self.namespace = namespace
        self.tap = -1  # -1: there is no way out, or a helper has it
        self.helper: way_out.Helper | None = None
        self.is_used = False  # something has gone out
        self.is_released = False
        self.held: list[bytes] = []  # frames that are waiting for the helper

    @property
    def is_open(self) -> bool:
        return self.tap >= 0 or self.helper is not None


class Router:
    """Serves the host until it is gone: `network` makes a network, `listen` a socket in it, `release` takes it back."""

    def __init__(self, host: Connection, maker: Connection, order: Order, user_namespace: int) -> None:
        self._host = host
        self._maker = maker
        self._helper = order.helper
        self._drop = order.drop
        self._settled = order.network
        self._user_namespace = user_namespace
        self._numbered = 0
        self._networks: dict[int, _Network] = {}
        self._spare: dict[bool, deque[_Network]] = {True: deque(), False: deque()}
        self._released: list[_Network] = []  # not checked yet
        self._taps: dict[int, _Network] = {}
        self._starting: dict[int, _Network] = {}
        self._running: dict[int, _Network] = {}
        self._poll = select.poll()
        self._poll.register(host, select.POLLIN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def serve(self) -> None:
        self._host.send({"network": self._settled})
        try:
            with contextlib.suppress(ConnectionError):
                self._serve()
        finally:
            for held in self._networks.values():
                if held.helper:
                    held.helper.end()

    def _serve(self) -> None:
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._taps:
                    self._let_out(self._taps[descriptor])
                elif descriptor in self._starting:
                    self._pass_held(self._starting[descriptor])
                elif descriptor in self._running:
                    self._take_back(self._running[descriptor])
                elif descriptor == self._host.fileno():
                    arrived = self._host.receive()
                    if arrived is None:
                        return
                    while arrived is not None:
                        self._answer(arrived[0])
                        arrived = self._host.waiting()

    def _answer(self, message: Message) -> None:
        try:
            match message["op"]:
                case "network":
                    self._give(message["id"], message["open"])
                case "listen":
                    listener = self._listen(message)
                    self._host.send({"id": message["id"]}, [listener])
                    os.close(listener)
                case "release":
                    self._release(self._networks.pop(message["network"]), left=message["left"])
                case unknown:
                    raise ValueError(f"unknown message {unknown!r}")
        except OSError as error:
            self._host.send({"id": message.get("id", 0), "error": str(error)})

    def _give(self, request: int, is_open: bool) -> None:
        spare = self._spare[is_open]
        if not spare:
            self._look_at_released()
        made = spare.popleft() if spare else self._make(is_open)
        self._numbered += 1
        self._networks[self._numbered] = made
        self._host.send({"id": request, "network": self._numbered}, [made.namespace])

    def _make(self, is_open: bool) -> _Network:
        _, descriptors = self._ask("open") if is_open else self._ask("closed", self._drop)
        made = _Network(descriptors[0])
        if is_open:
            self._watch_tap(made, descriptors[1])
        return made

    def _listen(self, message: Message) -> int:
        namespace = self._networks[message["network"]].namespace
        _, (listener,) = self._ask("listen", message["host"], message["port"], networks=[namespace])
        return listener

    def _release(self, released: _Network, *, left: bool) -> None:
        """Making and removing networks is most of their cost: unused ones are used again."""
        if not left or released.is_used:
            self._remove(released)
            return
        released.is_released = True
        self._released.append(released)
        if len(self._released) >= _AT_ONCE:
            self._look_at_released()

    def _look_at_released(self) -> None:
        if not self._released:
            return
        looked_at, self._released = self._released, []
        answer, _ = self._ask("sockets", networks=[released.namespace for released in looked_at])
        for released, count in zip(looked_at, answer["sockets"], strict=True):
            spare = self._spare[released.is_open]
            if count == int(released.is_open) and len(spare) < _MOST_SPARE:
                released.is_released = False
                spare.append(released)
            else:
                self._remove(released)

    def _remove(self, released: _Network) -> None:
        if released.tap >= 0:
            self._forget_tap(released)
            os.close(released.tap)
        if released.helper:
            self._end_helper(released)
        os.close(released.namespace)

    def _let_out(self, sender: _Network) -> None:
        """The first frame has arrived: starts a helper, and holds the frame until that is ready."""
        if sender.is_released:
            self._released.remove(sender)
            self._remove(sender)
            return
        self._forget_tap(sender)
        sender.held = network.hand_over(sender.tap)
        sender.tap = -1
        sender.is_used = True
        try:
            sender.helper = way_out.Helper(self._helper, sender.namespace, self._user_namespace)
        except OSError as error:
            sender.held.clear()
            if self._attach_again(sender):
                sys.stderr.write(
                    f"a sandbox's first packets are lost: {self._helper} cannot be started: {error}\n"
                )
            return
        self._starting[sender.helper.ready] = sender
        self._poll.register(sender.helper.ready, select.POLLIN)

    def _pass_held(self, sender: _Network) -> None:
        assert sender.helper
        del self._starting[sender.helper.ready]
        self._poll.unregister(sender.helper.ready)
        if not sender.helper.has_started():
            sender.held.clear()
            self._end_helper(sender)
            if self._attach_again(sender):
                sys.stderr.write(f"a sandbox's first packets are lost: {self._helper} has ended at once\n")
            return
        try:
            _, (number,) = self._ask("packets", networks=[sender.namespace])
            with socket.socket(fileno=number) as packets:
                for frame in sender.held:
                    packets.send(frame)
        except OSError as error:
            sys.stderr.write(f"the first packets of a sandbox have been lost: {error}\n")
        sender.held.clear()
        if sender.helper.over >= 0:
            self._running[sender.helper.over] = sender
            self._poll.register(sender.helper.over, select.POLLIN)

    def _take_back(self, sender: _Network) -> None:
        """The helper has ended, perhaps killed: the next frame starts another."""
        assert sender.helper
        if not sender.helper.has_ended():
            return
        self._end_helper(sender)
        if self._attach_again(sender):
            sys.stderr.write(
                f"{self._helper} has ended: a sandbox has lost its open connections, but can make new ones\n"
            )

    def _attach_again(self, sender: _Network) -> bool:
        """After its helper: the next frame starts another. False, and a line on stderr, if that is impossible."""
        try:
            _, (tap,) = self._ask("attach", networks=[sender.namespace])
        except OSError as error:
            sys.stderr.write(f"a sandbox no longer has a way out: {self._helper} does not run, and {error}\n")
            return False
        self._watch_tap(sender, tap)
        return True

    def _end_helper(self, sender: _Network) -> None:
        assert sender.helper
        for descriptor, waiting in (
            (sender.helper.ready, self._starting),
            (sender.helper.over, self._running),
        ):
            if waiting.pop(descriptor, None):
                self._poll.unregister(descriptor)
        sender.helper.end()
        sender.helper = None

    def _watch_tap(self, sender: _Network, tap: int) -> None:
        sender.tap = tap
        self._taps[tap] = sender
        self._poll.register(tap, select.POLLIN)

    def _forget_tap(self, sender: _Network) -> None:
        self._poll.unregister(sender.tap)
        del self._taps[sender.tap]

    def _ask(
        self, operation: str, *arguments: object, networks: Sequence[int] = ()
    ) -> tuple[Message, list[int]]:
        """Asks the maker; `networks`: descriptors of the networks in question."""
        self._maker.send({"op": operation, "arguments": arguments}, networks)
        arrived = self._maker.receive()
        if arrived is None:
            raise OSError("the process that makes networks has ended")
        if "error" in arrived[0]:
            raise OSError(arrived[0]["error"])
        return arrived
