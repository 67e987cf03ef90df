"""A sandbox without egress has a network of its own, with nothing in it but loopback."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from podflare import BadRequestError, Sandbox
from podflare_emulator import Emulator, EmulatorError

from ..matrix import SLOW
from ..serving import serving

# An address of a network that is documented to lead nowhere: with a route to the world, a connection attempt hangs.
CONNECT = """
import socket
try:
    socket.create_connection(("192.0.2.1", 80), timeout=600)
except OSError as error:
    print(error.strerror)
"""
INTERFACES = "print([name for _, name in __import__('socket').if_nameindex()])"
ADDRESS = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.connect(("192.0.2.1", 53))
    print(sock.getsockname()[0])
"""
TALK_TO_ITSELF = """
import socket
for address, family in (("127.0.0.1", socket.AF_INET), ("localhost", socket.AF_INET)):
    with socket.create_server((address, 0), family=family) as server:
        with socket.create_connection(server.getsockname()) as client, server.accept()[0] as accepted:
            client.sendall(b"hello")
            print(accepted.recv(5).decode())
"""


@pytest.fixture
def host_port() -> Iterator[int]:
    """Something listens there, on the host's loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def reach(port: int) -> str:
    return f"import socket; socket.create_connection(('127.0.0.1', {port})).close(); print('reached')"


@SLOW
def test_a_connection_attempt_fails_at_once(namespace_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = namespace_sandbox(egress=False)
    assert sandbox.run_code(CONNECT).stdout == "Network is unreachable"
    assert sandbox.run_code(INTERFACES).stdout == "['lo']"


@SLOW
def test_what_is_sent_may_be_dropped_in_place_of_refused() -> None:
    with (
        serving("namespace", egress_denied="drop") as emulator,
        Sandbox(host=emulator.url, egress=False) as sandbox,
    ):
        assert (
            sandbox.run_code(CONNECT.replace("600", "0.2").replace("strerror", "args")).stdout
            == "('timed out',)"
        )
        assert sandbox.run_code(ADDRESS).stdout == "172.16.0.2"
        assert sandbox.run_code(INTERFACES).stdout == "['lo']"
        assert sandbox.run_code(TALK_TO_ITSELF).stdout == "hello\nhello"
        (child,) = sandbox.fork(1)
        script = "timeout 0.2 bash -c 'exec 3<>/dev/tcp/192.0.2.1/80'"
        assert child.run_code(script, language="bash").exit_code == 124
        child.close()


def test_bash_is_cut_off_too(namespace_sandbox: Callable[..., Sandbox]) -> None:
    result = namespace_sandbox(egress=False).run_code("exec 3<>/dev/tcp/192.0.2.1/80", language="bash")
    assert result.exit_code != 0
    assert "Network is unreachable" in result.stderr


def test_a_name_is_not_resolved(namespace_sandbox: Callable[..., Sandbox]) -> None:
    code = (
        "import socket\n"
        "try: socket.getaddrinfo('podflare.invalid', 80)\n"
        "except socket.gaierror as error: print('gaierror')"
    )
    assert namespace_sandbox(egress=False).run_code(code).stdout == "gaierror"


def test_its_own_loopback_works(namespace_sandbox: Callable[..., Sandbox]) -> None:
    assert namespace_sandbox(egress=False).run_code(TALK_TO_ITSELF).stdout == "hello\nhello"


def test_children_inherit_it(namespace_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = namespace_sandbox(egress=False)
    (child,) = sandbox.fork(1)
    (grandchild,) = child.fork(1)
    assert grandchild.run_code(CONNECT).stdout == "Network is unreachable"
    sandbox.merge_into(child)
    assert sandbox.run_code(CONNECT).stdout == "Network is unreachable"
    grandchild.close()


def test_the_hosts_loopback_is_not_there(namespace_sandbox: Callable[..., Sandbox], host_port: int) -> None:
    assert "ConnectionRefusedError" in namespace_sandbox(egress=False).run_code(reach(host_port)).stderr


@pytest.fixture(scope="module")
def shared() -> Iterator[Emulator]:
    """An emulator whose sandboxes have the machine's network."""
    with serving("namespace", network="host") as emulator:
        yield emulator


@SLOW
def test_with_egress_the_hosts_loopback_is_shared(shared: Emulator, host_port: int) -> None:
    with Sandbox(host=shared.url, egress=True) as sandbox:
        assert sandbox.run_code(reach(host_port)).stdout == "reached"


def test_without_egress_a_fork_has_a_network_of_its_own(namespace_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = namespace_sandbox(egress=False)
    (child,) = sandbox.fork(1)
    serve = "import socket; server = socket.create_server(('127.0.0.1', 8000)); print('serves')"
    with child:
        assert [one.run_code(serve).stdout for one in (sandbox, child)] == ["serves", "serves"]


def test_a_sandbox_of_its_own_size_is_cut_off_too(namespace_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = namespace_sandbox(egress=False, ram_mib=512)
    assert sandbox.run_code(CONNECT).stdout == "Network is unreachable"


@SLOW
def test_no_egress_holds_for_every_sandbox(host_port: int) -> None:
    emulator = Emulator(isolation="namespace", egress=False)
    try:
        emulator.start()
    except EmulatorError as error:
        pytest.skip(str(error))
    try:
        with Sandbox(host=emulator.url, egress=True) as asked, Sandbox(host=emulator.url) as silent:
            for sandbox in (asked, silent):
                assert sandbox.run_code(CONNECT).stdout == "Network is unreachable"
                assert "ConnectionRefusedError" in sandbox.run_code(reach(host_port)).stderr
    finally:
        emulator.stop()


@SLOW
def test_portable_refuses_what_it_cannot_do(portable_emulator: Callable[..., Emulator]) -> None:
    emulator = portable_emulator()
    with pytest.raises(BadRequestError, match=r"egress: .* --egress-unenforced"):
        Sandbox(host=emulator.url, egress=False)


@SLOW
def test_portable_goes_on_when_it_is_told_to(
    portable_emulator: Callable[..., Emulator], host_port: int
) -> None:
    emulator = portable_emulator(egress_unenforced=True)
    with Sandbox(host=emulator.url, egress=False) as sandbox:
        assert sandbox.run_code(reach(host_port)).stdout == "reached"


@SLOW
def test_an_emulator_without_egress_does_not_start_where_that_cannot_be(
    portable_emulator: Callable[..., Emulator],
) -> None:
    with pytest.raises(EmulatorError, match=r"cannot keep sandboxes off the network.*--egress-unenforced"):
        portable_emulator(egress=False)


def test_the_handle_cuts_off_what_is_created_from_then_on(shared: Emulator, host_port: int) -> None:
    with Sandbox(host=shared.url) as before:
        shared.egress = False
        try:
            with Sandbox(host=shared.url, egress=True) as after:
                assert "ConnectionRefusedError" in after.run_code(reach(host_port)).stderr
            assert before.run_code(reach(host_port)).stdout == "reached"
        finally:
            shared.egress = True
    with Sandbox(host=shared.url) as sandbox:
        assert sandbox.run_code(reach(host_port)).stdout == "reached"


@SLOW
def test_the_handle_refuses_where_portable_cannot(portable_emulator: Callable[..., Emulator]) -> None:
    emulator = portable_emulator()
    with pytest.raises(EmulatorError, match=r"egress: .* --egress-unenforced"):
        emulator.egress = False
    assert emulator.egress
    emulator.egress = True
