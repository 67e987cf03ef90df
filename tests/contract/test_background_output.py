"""Output that arrives while no exec runs belongs to no exec."""

import socket
from collections.abc import Iterator

import pytest

from ..matrix import SLOW
from .wire import Wire, texts

pytestmark = pytest.mark.usefixtures("ours")

# The thread prints when the test says so over a connection, and says when it has printed: no exec is needed for it.
PRINTS_WHEN_TOLD = """
import socket, threading
peer = socket.create_connection(("127.0.0.1", {port}))
def speak():
    while peer.recv(1):
        print("in between", flush=True)
        peer.sendall(b".")
threading.Thread(target=speak, daemon=True).start()
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        yield listener


@SLOW
def test_it_is_not_in_the_next_execs_events(wire: Wire, listener: socket.socket) -> None:
    # Of an emulator whose sandboxes have networks of their own; another server's reach this machine, or cannot.
    wire.post("/_emulator/set_reachable", {"addresses": [list(listener.getsockname())]})
    sandbox_id = wire.create()
    wire.events(sandbox_id, PRINTS_WHEN_TOLD.format(port=listener.getsockname()[1]))
    peer, _ = listener.accept()
    with peer:
        for _ in range(20):
            peer.sendall(b".")
            peer.recv(1)
            assert texts(wire.events(sandbox_id, "print('mine')")) == ["mine"]


def test_what_a_thread_prints_during_an_exec_is_in_its_events(wire: Wire) -> None:
    code = "import threading\nthread = threading.Thread(target=print, args=('thread',))\nthread.start(); thread.join()"
    assert texts(wire.events(wire.create(), code)) == ["thread"]
