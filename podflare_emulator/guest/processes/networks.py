"""The maker of networks: a process in the sandboxes' user namespace, which owns their network namespaces.

It does for the router, which stays outside, what can only be done inside.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ..protocol import Connection, Message
from ..system import kernel, network

_BACKLOG = 128


def serve(connection: Connection, user_namespace: int) -> None:
    """Answers requests until the other end closes."""
    kernel.setns(user_namespace, kernel.CLONE_NEWUSER)
    os.close(user_namespace)
    kernel.unshare(kernel.CLONE_NEWNET)
    maker = _Maker()
    while (arrived := connection.receive()) is not None:
        message, descriptors = arrived
        answer: Message = {}
        given: list[int] = []
        try:
            given = getattr(maker, message["op"])(answer, *descriptors, *message.get("arguments", ()))
        except OSError as error:
            answer = {"error": str(error)}
        connection.send(answer, given)
        for number in (*descriptors, *given):
            os.close(number)


class _Maker:
    """Its methods are the operations: each gets an answer to fill in, and returns the descriptors to send."""

    def __init__(self) -> None:
        self._own = _namespace()

    def closed(self, answer: Message, drop: bool) -> list[int]:
        """A private network with only loopback. Other destinations are refused, or, with `drop`, lose all packets."""
        with self._returning():
            kernel.unshare(kernel.CLONE_NEWNET)
            network.raise_loopback()
            if drop:
                network.swallow_packets()
            return [_namespace()]

    def open(self, answer: Message) -> list[int]:
        """A network that also has a way out; the second descriptor yields the frames that leave by it."""
        with self._returning():
            kernel.unshare(kernel.CLONE_NEWNET)
            network.raise_loopback()
            way_out = network.make_way_out()
            return [_namespace(), way_out]

    def sockets(self, answer: Message, *namespaces: int) -> list[int]:
        """How many sockets each of these networks has."""
        counts = answer["sockets"] = []
        with self._returning():
            for namespace in namespaces:
                kernel.setns(namespace, kernel.CLONE_NEWNET)
                counts.append(network.sockets())
        return []

    def attach(self, answer: Message, namespace: int) -> list[int]:
        """Returns the way out of a network of `open`'s, after the program that was attached to it has ended."""
        with self._in(namespace):
            network.forget_neighbours()
            return [network.attach()]

    def packets(self, answer: Message, namespace: int) -> list[int]:
        """A socket: frames sent to it leave by the network's way out."""
        with self._in(namespace):
            return [network.packet_socket().detach()]

    def listen(self, answer: Message, namespace: int, host: str, port: int) -> list[int]:
        """A listening socket in a network."""
        with self._in(namespace):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((host, port))
                sock.listen(_BACKLOG)
                return [sock.detach()]

    @contextmanager
    def _in(self, namespace: int) -> Iterator[None]:
        with self._returning():
            kernel.setns(namespace, kernel.CLONE_NEWNET)
            yield

    @contextmanager
    def _returning(self) -> Iterator[None]:
        """Returns to this process's own network at the end: it must not keep another one alive."""
        try:
            yield
        finally:
            kernel.setns(self._own, kernel.CLONE_NEWNET)


def _namespace() -> int:
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
