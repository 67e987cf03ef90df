"""Terminals through the SDK, on the emulator. What the server does is in tests/contract/test_terminals.py."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import pytest

from podflare import (
    APIConnectionError,
    Client,
    InvalidArgumentError,
    NotFoundError,
    PodflareError,
    PtyError,
    PtyHandle,
    PtySessionInfo,
    PtyTimeoutError,
    Sandbox,
    SandboxClosedError,
)

_PATIENCE = 60  # seconds, so that what hangs is a failure


class Heard:
    """What the callbacks have been told, and in which threads."""

    def __init__(self) -> None:
        self.data = b""
        self.exits: list[int] = []
        self.threads: set[str] = set()
        self._changed = threading.Condition()

    def on_data(self, data: bytes) -> None:
        with self._changed:
            self.data += data
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    def on_exit(self, code: int) -> None:
        self.exits.append(code)

    def until(self, text: bytes) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: text in self.data, _PATIENCE), self.data


@pytest.fixture
def heard() -> Heard:
    return Heard()


def until(terminal: PtyHandle, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        seen += next(terminal)
    return seen


def test_callbacks_are_told_in_a_thread_what_is_printed_and_the_exit_code(
    podflare_sandbox: Sandbox, heard: Heard
) -> None:
    terminal = podflare_sandbox.pty.create(
        cmd="read -p 'name? ' name; echo \"hello, $name\"; exit 3",
        on_data=heard.on_data,
        on_exit=heard.on_exit,
    )
    heard.until(b"name? ")
    with pytest.raises(TimeoutError, match=r"did not end within 0\.01 seconds") as caught:
        terminal.wait(timeout=0.01)
    assert isinstance(caught.value, PtyTimeoutError)
    terminal.send_input("Ada\r")
    assert (terminal.wait(_PATIENCE), terminal.wait()) == (3, 3)
    assert (heard.data, heard.exits) == (b"name? Ada\r\nhello, Ada\r\n", [3])
    assert heard.threads == {"podflare-terminal"}


def test_iterating_yields_what_is_printed_until_the_end(podflare_sandbox: Sandbox) -> None:
    terminal = podflare_sandbox.pty.create(
        cmd=["python3", "-c", "import os, sys; print(os.getcwd(), os.environ['A'], sys.argv[1:])", "$HOME"],
        env={"A": "b"},
        cwd="/tmp",
    )
    assert b"".join(terminal) == b"/tmp b ['$HOME']\r\n"
    assert list(terminal) == []
    assert terminal.wait() == 0


def test_what_nobody_takes_does_not_pile_up(podflare_sandbox: Sandbox) -> None:
    terminal = podflare_sandbox.pty.create(cmd="head -c 3000000 /dev/zero | tr '\\0' x; echo; echo the end")
    assert terminal.wait(_PATIENCE) == 0
    kept = b"".join(terminal)
    assert kept.endswith(b"the end\r\n")
    assert len(kept) <= 1 << 20


def test_resize_and_kill(podflare_sandbox: Sandbox) -> None:
    program = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done"
    terminal = podflare_sandbox.pty.create(cmd=program, cols=100, rows=30)
    until(terminal, b"ready")
    terminal.resize(132, 50)
    until(terminal, b"50 132")
    terminal.kill()
    assert terminal.wait(_PATIENCE) == 137
    terminal.kill()
    terminal.send_input(b"nobody reads it")


def test_list_and_attach(podflare_sandbox: Sandbox, heard: Heard) -> None:
    made = podflare_sandbox.pty.create(cmd="echo before; read line; echo got $line")
    until(made, b"before")
    [listed] = podflare_sandbox.pty.list()
    assert listed == PtySessionInfo(
        made.id, "echo before; read line; echo got $line", listed.created_at_ms, None
    )
    made.close()
    assert podflare_sandbox.pty.list() == [listed], "a closed handle leaves the program running"
    with Sandbox.connect(podflare_sandbox.id) as elsewhere:
        attached = elsewhere.pty.attach(made.id, on_data=heard.on_data)
        assert attached.id == made.id
        heard.until(b"before")
        attached.send_input("typed\r")
        assert attached.wait(_PATIENCE) == 0
    assert heard.data.endswith(b"got typed\r\n")
    assert podflare_sandbox.pty.list() == []


def test_a_closed_handle_calls_nobody_and_does_not_wait(podflare_sandbox: Sandbox, heard: Heard) -> None:
    terminal = podflare_sandbox.pty.create(cmd="cat", on_data=heard.on_data, on_exit=heard.on_exit)
    terminal.send_input("first\r")
    heard.until(b"first")
    reading = threading.Thread(target=lambda: list(terminal))
    reading.start()
    terminal.close()
    terminal.close()
    reading.join(_PATIENCE)
    assert not reading.is_alive()
    with pytest.raises(PtyError, match=f"this handle on terminal {terminal.id} was closed"):
        terminal.wait(_PATIENCE)
    before = heard.data
    terminal.kill()
    while podflare_sandbox.pty.list():
        pass
    assert (heard.data, heard.exits) == (before, [])


def test_closing_a_handle_breaks_no_later_call(podflare_sandbox: Sandbox) -> None:
    terminals = [podflare_sandbox.pty.create(cmd="true") for _ in range(3)]
    for terminal in terminals:
        terminal.wait(_PATIENCE)
    events = podflare_sandbox.run_code_stream("print('a'); import time; time.sleep(0.2); print('b')")
    assert next(events).data == "a"
    for terminal in terminals:
        terminal.close()
    assert [event.data for event in events] == ["b", 0]


def test_a_block_kills_what_it_has_made_and_leaves_what_it_has_attached_to(podflare_sandbox: Sandbox) -> None:
    made = podflare_sandbox.pty.create(cmd="sleep 600")
    with podflare_sandbox.pty.attach(made.id):
        pass
    assert [one.pty_id for one in podflare_sandbox.pty.list()] == [made.id]
    with made:
        pass
    with podflare_sandbox.pty.create(cmd="exit 5") as ended:
        assert ended.wait(_PATIENCE) == 5
    with podflare_sandbox.pty.attach(made.id) as killed:
        assert killed.wait(_PATIENCE) == 137


def test_a_callback_that_raises_is_logged_and_the_terminal_goes_on(
    podflare_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Any) -> None:
        raise ZeroDivisionError

    terminal = podflare_sandbox.pty.create(cmd="echo a; exit 1", on_data=fail, on_exit=fail)
    assert terminal.wait(_PATIENCE) == 1
    logged = [record for record in caplog.records if record.name.startswith("podflare.")]
    assert len(logged) >= 2
    assert all(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in logged)


def test_a_callback_may_close_its_terminal(podflare_sandbox: Sandbox) -> None:
    made: list[PtyHandle] = []
    go = threading.Event()

    def close(_: bytes) -> None:
        go.wait(_PATIENCE)
        made[0].close()

    made.append(podflare_sandbox.pty.create(cmd="yes", on_data=close))
    go.set()
    with pytest.raises(PtyError, match="was closed"):
        made[0].wait(_PATIENCE)


def test_a_callback_may_close_its_sandbox(podflare_emulator: Any) -> None:
    sandbox = Sandbox()
    exits: list[int] = []
    terminal = sandbox.pty.create(
        cmd="read line; echo $line; sleep 600",
        on_data=lambda _: sandbox.close(),
        on_exit=lambda _: exits.append(terminal.wait()),
    )
    terminal.send_input("x\r")
    assert terminal.wait(_PATIENCE) == 137
    assert exits == [137]


def test_a_sandbox_that_is_closed_ends_its_terminals(podflare_emulator: Any) -> None:
    with Sandbox() as sandbox:
        terminal = sandbox.pty.create(cmd="sleep 600")
    assert terminal.wait(_PATIENCE) == 137
    with pytest.raises(SandboxClosedError):
        terminal.send_input("x")
    with pytest.raises(SandboxClosedError):
        sandbox.pty.list()


def test_what_cannot_be_meant_is_said_at_once(podflare_sandbox: Sandbox) -> None:
    create: Any = podflare_sandbox.pty.create
    for cmd in ("", [], None, 5):
        with pytest.raises(InvalidArgumentError, match="cmd must be a command"):
            create(cmd=cmd)
    with pytest.raises(InvalidArgumentError, match="pty_id must be"):
        podflare_sandbox.pty.attach("")
    with pytest.raises(NotFoundError, match="pty not found"):
        podflare_sandbox.pty.attach("pty_none")
    with pytest.raises(PodflareError, match="cols: expected 1 to 65535"):
        podflare_sandbox.pty.create(cmd="true", cols=0)
    for timeout_ms in (0, -1, "5", math.nan):
        with pytest.raises(
            InvalidArgumentError, match="timeout_ms must be a positive number of milliseconds"
        ):
            create(cmd="true", timeout_ms=timeout_ms)

    async def nobody_awaits(_: object) -> None: ...

    for callback in ("on_data", "on_exit"):
        for wrong in (5, nobody_awaits):
            with pytest.raises(InvalidArgumentError, match=f"{callback} must be a .*function"):
                create(cmd="true", **{callback: wrong})
    assert podflare_sandbox.pty.list() == []
    with podflare_sandbox.pty.create(cmd="cat") as terminal:
        type_: Any = terminal.send_input
        for data in (5, None, ["a"]):
            with pytest.raises(InvalidArgumentError, match="send_input takes a str or bytes"):
                type_(data)
        with pytest.raises(InvalidArgumentError, match="timeout must be a number of seconds"):
            terminal.wait("5")  # type: ignore[arg-type]
        for timeout in (0, -1):
            with pytest.raises(PtyTimeoutError):
                terminal.wait(timeout)


def test_settings_of_a_terminal_in_all_their_types(podflare_sandbox: Sandbox) -> None:
    create: Any = podflare_sandbox.pty.create
    terminal = create(cmd="pwd; echo $NAME", cwd=Path("/tmp"), env=[("NAME", "value")], timeout_ms=None)
    assert b"".join(terminal).split() == [b"/tmp", b"value"]
    assert terminal.wait(math.inf) == 0


def test_the_clients_calls(podflare_client: Client) -> None:
    made = podflare_client.create_sandbox()
    stream = podflare_client.pty_create_stream(made, {"argv": ["cat"], "cols": 80, "rows": 24})
    ready = next(stream)
    assert ready["type"] == "pty_ready"
    terminal = ready["session_id"]
    podflare_client.pty_input(made, terminal, b"hi\r")
    assert next(stream)["type"] == "pty_data"
    assert podflare_client.pty_read(made, terminal, 0)["exit_code"] is None
    podflare_client.pty_resize(made, terminal, 100, 30)
    assert [one["pty_id"] for one in podflare_client.pty_list(made)] == [terminal]
    podflare_client.pty_kill(made, terminal)
    assert list(stream)[-1] == {"type": "pty_exit", "data": 137}
    assert list(podflare_client.pty_attach_stream(made, terminal))[-1] == {"type": "pty_exit", "data": 137}
    podflare_client.destroy_sandbox(made)


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        ([b'{"type":"pty_error","message":"no shell"}\n'], PtyError, "could not be made: no shell"),
        ([], APIConnectionError, "before the terminal was ready"),
        ([b"rubbish\n"], APIConnectionError, "a line that is no event"),
    ],
)
def test_a_terminal_that_cannot_be_made(
    sandbox: Sandbox, instead: dict[str, Any], lines: list[bytes], error: type[Exception], message: str
) -> None:
    instead["pty"] = (200, {}, lines)
    with pytest.raises(error, match=message):
        sandbox.pty.create(cmd="true")


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        (b'{"type":"pty_error","message":"lost"}\n', PtyError, "lost"),
        (b'{"type":"pty_data","data_b64":5}\n', PtyError, "what is no message"),
        (b"\n", PtyError, "ended before its program did"),
        (b"{\n", APIConnectionError, "a line that is no event"),
    ],
)
def test_a_stream_that_breaks_off_is_raised_to_who_waits_and_who_reads(
    sandbox: Sandbox, instead: dict[str, Any], line: bytes, error: type[Exception], message: str
) -> None:
    instead["pty"] = (200, {}, [b'{"type":"pty_ready","session_id":"pty_1"}\n', line])
    terminal = sandbox.pty.create(cmd="true")
    with pytest.raises(error, match=message):
        terminal.wait(_PATIENCE)
    with pytest.raises(error, match=message):
        next(terminal)


def test_a_terminal_that_is_not_ready_in_time(sandbox: Sandbox, instead: dict[str, Any]) -> None:
    over = threading.Event()

    def late() -> Any:
        over.wait(_PATIENCE)
        yield b""

    instead["pty"] = (200, {}, late())
    try:
        with pytest.raises(PtyTimeoutError, match=r"not ready within 0\.2 seconds"):
            sandbox.pty.create(cmd="true", timeout_ms=200)
    finally:
        over.set()
