"""Whose the other end of a TCP connection is, found out while the connection is open."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from podflare_emulator.guest.system.peers import comes_from

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that tells")

CONNECT = """
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sys.stdin.read(1)
connection.close()
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["127.0.0.1", "::1"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    try:
        listener = socket.create_server(
            (request.param, 0), family=socket.AF_INET6 if ":" in request.param else socket.AF_INET
        )
    except OSError as error:
        pytest.skip(f"{request.param}: {error}")
    with listener:
        yield listener


def connecting(listener: socket.socket) -> subprocess.Popen[str]:
    address, port, *_ = listener.getsockname()
    return subprocess.Popen(
        [sys.executable, "-c", CONNECT, address, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def is_of(ancestor: int, connection: socket.socket) -> bool:
    return comes_from(ancestor, connection.getpeername()[:2], connection.getsockname()[:2])


def test_a_descendants_and_no_other(listener: socket.socket) -> None:
    with connecting(listener) as child, connecting(listener) as other:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                assert is_of(os.getpid(), connection)
                assert not is_of(child.pid, connection)  # its own is none of its descendants'
                assert not is_of(other.pid, connection)
        child.kill()
        other.kill()


def test_ones_own(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()[:2]):
        connection, _ = listener.accept()
        with connection:
            assert not is_of(os.getppid(), connection)


def test_a_peer_that_has_closed_may_have_been_anybodys(listener: socket.socket) -> None:
    with connecting(listener) as child:
        assert child.stdin
        assert child.stdout
        connection, _ = listener.accept()
        with connection:
            assert not is_of(child.pid, connection)
            child.stdin.write("\n")
            child.stdin.flush()
            child.stdout.readline()
            assert is_of(child.pid, connection)
        child.kill()


def test_one_that_is_not_there(listener: socket.socket) -> None:
    address, port, *_ = listener.getsockname()
    assert not comes_from(os.getpid(), (address, 1), (address, port))
    assert not comes_from(os.getpid(), ("no address", 1), (address, port))
