"""A network of each sandbox's own: its ports, its way out, and what of the test's process is let into it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from podflare import Client, Sandbox
from podflare_emulator import Emulator, EmulatorError
from podflare_emulator.guest.order import PROGRAMS
from podflare_emulator.hosting import warden

from ..matrix import SLOW
from ..serving import serving

SERVE = """
import socket, threading
server = socket.create_server(("127.0.0.1", 8000))
def serve(name):
    while True:
        connection, _ = server.accept()
        connection.sendall(name.encode())
        connection.close()
def start(name):
    threading.Thread(target=serve, args=(name,), daemon=True).start()
"""
ASK = "exec 3<> /dev/tcp/127.0.0.1/8000; cat <&3"
TALK = """
import socket
def talk(address, patience=60):
    try:
        with socket.create_connection(address, timeout=patience) as connection:
            connection.sendall(b"hello " * 20_000)
            return len(connection.makefile("rb").read(120_000))
    except OSError as error:
        return error.strerror or str(error)
"""


@pytest.fixture(
    scope="module",
    params=[PROGRAMS[0], *(pytest.param(name, marks=SLOW) for name in PROGRAMS[1:])],
)
def private(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """With one helper after the other."""
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warden, "PROGRAMS", (request.param,))
        with serving("namespace", network="private", server="thread") as emulator:
            yield emulator


@pytest.fixture
def make(private: Emulator) -> Iterator[Callable[..., Sandbox]]:
    made: list[Sandbox] = []

    def one(**order: object) -> Sandbox:
        made.append(Sandbox(host=private.url, **order))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for sandbox in made:
        sandbox.close()
    private.reset()


@pytest.fixture
def echo() -> Iterator[Callable[[str], int]]:
    """`echo(address)`: the port of a server there that sends back what it gets."""
    servers: list[socket.socket] = []

    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as sent:
            connection.sendall(sent.read(120_000))

    def serve(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def start(address: str) -> int:
        servers.append(socket.create_server((address, 0)))
        threading.Thread(target=serve, args=(servers[-1],), daemon=True).start()
        return int(servers[-1].getsockname()[1])

    yield start
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


@pytest.fixture
def outside() -> str:
    """An address of this machine's that is not loopback: connections to it leave a sandbox as those to others do."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            pytest.skip("this machine has no network")
        address = str(sock.getsockname()[0])
    if address.startswith("127."):
        pytest.skip("this machine has no network")
    return address


def is_helper(process: psutil.Process) -> bool:
    return any(os.path.basename(word) in PROGRAMS for word in process.cmdline()[:1])


def helpers() -> list[psutil.Process]:
    """Of this test's emulators: those of whatever else runs here are none of them."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if is_helper(process):
                found.append(process)
    return found


def until(happens: Callable[[], bool]) -> None:
    patience = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < patience
        time.sleep(0.01)


@SLOW
def test_each_serves_on_the_same_port(make: Callable[..., Sandbox]) -> None:
    parent, other = make(), make()
    (child,) = parent.fork(1)
    with child:
        for name, sandbox in {"parent": parent, "child": child, "other": other}.items():
            assert sandbox.run_code(f"{SERVE}\nstart({name!r})").stderr == ""
        for name, sandbox in {"parent": parent, "child": child, "other": other}.items():
            assert sandbox.run_code(ASK, language="bash").stdout == name


def test_a_merge_brings_the_winners_network(make: Callable[..., Sandbox]) -> None:
    parent = make()
    (child,) = parent.fork(1)
    child.run_code(f"{SERVE}\nstart('child')")
    parent.merge_into(child)
    assert parent.run_code(ASK, language="bash").stdout == "child"


def test_what_listens_in_the_parent_is_not_found_in_a_fork(make: Callable[..., Sandbox]) -> None:
    parent = make()
    parent.run_code(SERVE)
    (child,) = parent.fork(1)
    with child:
        assert "Connection refused" in child.run_code(ASK, language="bash").stderr
        again = "server.close(); server = socket.create_server(('127.0.0.1', 8000)); print('serves')"
        assert child.run_code(again).stdout == "serves"


def test_a_low_port(make: Callable[..., Sandbox]) -> None:
    assert make().run_code("import socket; print(socket.create_server(('', 80)).getsockname())").stdout == (
        "('0.0.0.0', 80)"
    )


def test_the_network_cannot_be_set_up_otherwise(make: Callable[..., Sandbox]) -> None:
    sandbox = make()
    for command in ("echo 3 > /proc/sys/net/core/somaxconn", "ip link set eth0 down", "ip addr flush dev lo"):
        assert sandbox.run_code(command, language="bash").exit_code != 0, command


def test_there_is_a_way_out(make: Callable[..., Sandbox], outside: str, echo: Callable[[str], int]) -> None:
    sandbox, port = make(), echo(outside)
    sandbox.run_code(TALK)
    assert not helpers()
    assert sandbox.run_code(f"print(talk(({outside!r}, {port})))").stdout == "120000"
    assert len(helpers()) == 1
    (child,) = sandbox.fork(1)
    assert child.run_code(f"print(talk(({outside!r}, {port})))").stdout == "120000"
    assert len(helpers()) == 2
    child.close()
    until(lambda: len(helpers()) == 1)
    assert sandbox.run_code(f"print(talk(({outside!r}, {port})))").stdout == "120000"


def test_an_answer_to_a_connection_that_is_half_closed(
    make: Callable[..., Sandbox], outside: str, echo: Callable[[str], int]
) -> None:
    version = subprocess.run([warden.PROGRAMS[0], "--version"], capture_output=True, text=True).stdout
    if version.startswith("pasta unknown"):
        pytest.skip("the pasta of Debian 12 loses it")
    code = f"""
import socket
connection = socket.create_connection(({outside!r}, {echo(outside)}), timeout=60)
connection.sendall(b"question")
connection.shutdown(socket.SHUT_WR)
print(connection.recv(100))
"""
    assert make().run_code(code).stdout == "b'question'"


def test_a_helper_that_was_killed_is_started_again_when_it_is_needed(
    make: Callable[..., Sandbox], outside: str, echo: Callable[[str], int]
) -> None:
    sandbox, port = make(), echo(outside)
    sandbox.run_code(TALK)
    sandbox.run_code(f"talk(({outside!r}, {port})); kept = socket.create_connection(({outside!r}, {port}))")
    for _ in range(3):
        [helper] = helpers()
        helper.kill()
        helper.wait(30)
        assert sandbox.run_code(f"print(talk(({outside!r}, {port})))").stdout == "120000"
    lost = "kept.settimeout(5); kept.sendall(b'lost'); kept.recv(1)"  # pasta says nothing of what it does not know
    assert "Error" in sandbox.run_code(lost).stderr
    sandbox.close()
    until(lambda: not helpers())


@SLOW
@pytest.mark.parametrize("instead", ["", "#!/bin/sh\nexit 1\n"], ids=["gone", "ends at once"])
def test_a_helper_that_cannot_be_started_is_tried_again_and_nothing_else_suffers(
    outside: str, echo: Callable[[str], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instead: str
) -> None:
    if not (installed := next(filter(None, map(shutil.which, PROGRAMS)), None)):
        pytest.skip("no helper is installed")
    program = tmp_path / Path(installed).name
    shutil.copy(installed, program)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with (
        serving("namespace", network="private", pool_size=0) as emulator,
        Client(host=emulator.url) as client,
    ):
        sandbox = Sandbox(client=client)
        sandbox.run_code(TALK)
        program.rename(tmp_path / "away")
        if instead:
            program.write_text(instead)
            program.chmod(0o755)
        assert sandbox.run_code(f"print(talk(({outside!r}, {echo(outside)})))").stdout == "No route to host"
        Sandbox(client=client, egress=False)  # whose network is made now
        (tmp_path / "away").rename(program)
        assert sandbox.run_code(f"print(talk(({outside!r}, {echo(outside)})))").stdout == "120000"


def test_without_egress_there_is_none(
    make: Callable[..., Sandbox], outside: str, echo: Callable[[str], int]
) -> None:
    sandbox, port = make(egress=False), echo(outside)
    sandbox.run_code(TALK)
    assert sandbox.run_code(f"print(talk(({outside!r}, {port})))").stdout == "Network is unreachable"


def test_the_machines_loopback_is_not_there(make: Callable[..., Sandbox], echo: Callable[[str], int]) -> None:
    sandbox, port = make(), echo("127.0.0.1")
    sandbox.run_code(TALK)
    assert sandbox.run_code(f"print(talk(('127.0.0.1', {port})))").stdout == "Connection refused"
    assert sandbox.run_code(f"print(talk(('10.0.2.2', {port}), 5))").stdout != "120000"


@pytest.mark.parametrize("egress", [True, False])
def test_a_server_of_the_tests_own_is_let_in(
    private: Emulator, make: Callable[..., Sandbox], echo: Callable[[str], int], egress: bool
) -> None:
    port = echo("127.0.0.1")
    private.reachable = [("localhost", port)]
    sandbox = make(egress=egress)
    sandbox.run_code(TALK)
    (child,) = sandbox.fork(1)
    with child:
        for one in (sandbox, child):
            assert one.run_code(f"print(talk(('127.0.0.1', {port})))").stdout == "120000"
    private.reset()
    assert private.reachable == ()
    later = make(egress=egress)
    later.run_code(TALK)
    assert later.run_code(f"print(talk(('127.0.0.1', {port})))").stdout == "Connection refused"


def test_nobody_listens_at_what_is_let_in(
    private: Emulator, make: Callable[..., Sandbox], echo: Callable[[str], int]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    private.reachable = [("127.0.0.1", port)]
    sandbox = make()
    sandbox.run_code(TALK)
    assert sandbox.run_code(f"print(talk(('127.0.0.1', {port})))").stdout == "Connection reset by peer"


def test_what_cannot_be_let_in(private: Emulator) -> None:
    for wrong in ("127.0.0.1:80", [("192.0.2.1", 80)], [("127.0.0.1", "80")], [("127.0.0.1", 0)], [80]):
        with pytest.raises(EmulatorError, match=r"reachable: expected .*127\.0\.0\.1"):
            private.reachable = wrong  # type: ignore[assignment]


@SLOW
@pytest.mark.usefixtures("private")
def test_it_is_let_in_from_the_start_and_found_in_the_machines_network(echo: Callable[[str], int]) -> None:
    port = echo("127.0.0.1")
    for settings in ({"network": "private", "server": "thread"}, {"network": "host"}):
        with (
            Emulator(
                isolation="namespace",
                reachable=[("127.0.0.1", port)],
                pool_size=0,
                **settings,  # type: ignore[arg-type]
            ) as emulator,
            Sandbox(host=emulator.url) as sandbox,
        ):
            sandbox.run_code(TALK)
            assert sandbox.run_code(f"print(talk(('127.0.0.1', {port})))").stdout == "120000"


@SLOW
def test_a_used_network_is_not_another_sandboxs(make: Callable[..., Sandbox]) -> None:
    """The kernel remembers who talked at a port: the next sandbox would find it taken."""
    talk = "import socket\nserver = socket.create_server(('127.0.0.1', 8000))\n"
    talk += (
        "client = socket.create_connection(('127.0.0.1', 8000))\nserver.accept()[0].close(); client.close()"
    )
    bind = "import socket; sock = socket.socket(); sock.bind(('127.0.0.1', 8000)); print('free')"
    for _ in range(15):
        sandbox = make()
        assert sandbox.run_code(bind).stdout == "free"
        sandbox.run_code("sock.close()\n" + talk)
        sandbox.close()


@SLOW
@pytest.mark.usefixtures("private")
def test_helpers_end_with_the_emulator(outside: str, echo: Callable[[str], int], tmp_path: Path) -> None:
    """Also when it is killed."""
    port = echo(outside)
    program = tmp_path / "program.py"
    program.write_text(f"""
from podflare import Sandbox
from podflare_emulator import Emulator
emulator = Emulator(isolation="namespace", network="private", server="thread")
emulator.start()
sandbox = Sandbox(host=emulator.url)
sandbox.run_code({TALK!r})
print(sandbox.run_code("print(talk(({outside!r}, {port})))").stdout, flush=True)
input()
""")
    with subprocess.Popen(
        [sys.executable, str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "120000\n"
        descendants = psutil.Process(process.pid).children(recursive=True)
        assert any(map(is_helper, descendants))
        process.kill()
        until(lambda: not any(one.is_running() for one in descendants))


@SLOW
def test_without_a_helper_auto_takes_the_machines_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warden, "PROGRAMS", ())
    with serving("namespace", server="thread", pool_size=0) as emulator:
        assert emulator.network == "host"
    with pytest.raises(EmulatorError, match="apt-get install -y slirp4netns"):
        Emulator(isolation="namespace", server="thread", network="private").start()


@SLOW
def test_no_backend_but_namespace_has_private_ones() -> None:
    with pytest.raises(EmulatorError, match=r"machine's network here: use --network auto or host"):
        Emulator(isolation="portable", network="private").start()
