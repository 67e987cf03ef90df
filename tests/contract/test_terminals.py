"""Terminals (contract: pty), through raw HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from podflare_emulator import Emulator

from ..matrix import SLOW
from .terminal import Terminal, Watching
from .wire import NEVER_WAS, Wire, error_of, texts

CTRL_C, CTRL_D, CTRL_Z = "\x03", "\x04", "\x1a"


@pytest.fixture
def box(wire: Wire) -> str:
    return wire.create()


def output(terminal: Terminal) -> str:
    terminal.watching.exit_code()
    return terminal.watching.seen.decode()


def test_a_program_has_a_terminal_of_the_size_asked_for(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, "test -t 0 && test -t 1 && test -t 2 && stty size", cols=100, rows=30)
    assert output(terminal) == "30 100\r\n"
    assert terminal.watching.messages[-1] == {"type": "pty_exit", "data": 0}


def test_by_default_it_is_80_by_24(wire: Wire, box: str) -> None:
    assert output(Terminal(wire, box, "stty size")) == "24 80\r\n"


def test_a_command_runs_in_a_login_shell_in_root_by_default(wire: Wire, box: str) -> None:
    code = "shopt -q login_shell && echo login; pwd; exit 7"
    terminal = Terminal(wire, box, code)
    assert terminal.watching.exit_code() == 7
    assert terminal.watching.seen == b"login\r\n/root\r\n"


def test_words_are_executed_directly_in_the_given_place_and_environment(wire: Wire, box: str) -> None:
    program = "import os, sys; print(os.getcwd(), os.environ['GREETING'], sys.argv[1:])"
    words = ["python3", "-c", program, "$HOME", "a b"]
    terminal = Terminal(wire, box, words, cwd="/tmp", env=[["GREETING", "hello"]])
    assert output(terminal) == "/tmp hello ['$HOME', 'a b']\r\n"


@SLOW
def test_the_testers_variables_are_there(own_emulator: Callable[..., Emulator]) -> None:
    emulator = own_emulator(env={"GREETING": "hello"})
    with httpx.Client(base_url=emulator.url) as client:
        box = client.post("/v1/sandboxes", json={}).json()["id"]
        answer = client.post(f"/v1/sandboxes/{box}/pty", json={"shellCmd": "echo $GREETING"})
    printed = [json.loads(line).get("data_b64", "") for line in answer.text.splitlines()]
    assert b"".join(map(base64.b64decode, printed)) == b"hello\r\n"


def test_it_is_the_same_machine_as_the_interpreters(wire: Wire, box: str) -> None:
    wire.events(box, "open('/root/a.txt', 'w').write('from python')")
    assert output(Terminal(wire, box, "cat /root/a.txt; echo from bash > /root/b.txt")) == "from python"
    assert texts(wire.events(box, "print(open('/root/b.txt').read(), end='')")) == ["from bash"]


def test_a_program_that_is_not_there_ends_with_127_and_says_so(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, ["no-such-program"])
    assert terminal.watching.exit_code() == 127
    assert b"No such file" in terminal.watching.seen


@pytest.mark.usefixtures("ours")
def test_a_program_may_open_as_many_files_as_code_may(wire: Wire, box: str) -> None:
    assert output(Terminal(wire, box, "ulimit -Sn; ulimit -Hn")) == "1024\r\n4096\r\n"


def test_signals_that_python_has_blocked_reach_a_program(wire: Wire, box: str) -> None:
    wire.events(box, "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])")
    terminal = Terminal(wire, box, ["sh", "-c", "echo here; exec sleep 600"])
    terminal.watching.until("here")
    terminal.type(CTRL_C)
    assert terminal.watching.exit_code() == 130


def test_what_is_typed_is_echoed_and_read(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, "read -p 'name? ' name; echo \"hello, $name\"")
    terminal.watching.until("name? ")
    terminal.type("Ada\r")
    assert output(terminal) == "Ada\r\nhello, Ada\r\n"


def test_an_interactive_python_and_ctrl_c_and_ctrl_d(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, ["python3", "-q", "-i"], env=[["PYTHON_BASIC_REPL", "1"]])
    terminal.watching.until(">>> ")
    terminal.type("import time; print('sleeping'); time.sleep(600)\r")
    terminal.watching.until("\nsleeping")
    terminal.type(CTRL_C)
    terminal.watching.until("KeyboardInterrupt")
    terminal.watching.until(">>> ")
    terminal.type("print(6 * 7)\r")
    terminal.watching.until("42")
    terminal.watching.until(">>> ")
    terminal.type(CTRL_D)
    assert terminal.watching.exit_code() == 0


def test_job_control(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, ["bash", "--norc", "--noprofile", "-i"], env=[["PS1", "ready> "]])
    terminal.watching.until("ready> ")
    terminal.type("bash -c 'echo job $((1 + 1)) runs; sleep 600'\r")
    terminal.watching.until("job 2 runs")
    terminal.type(CTRL_Z)
    terminal.watching.until("Stopped")
    terminal.type("jobs; kill %1; wait %1; echo still $((1 + 1))\r")
    terminal.watching.until("still 2")
    terminal.type("exit 5\r")
    assert terminal.watching.exit_code() == 5


def test_a_resize_is_told_to_the_program(wire: Wire, box: str) -> None:
    program = "trap 'stty size; exit' WINCH; echo waiting; while :; do sleep 0.01; done"
    terminal = Terminal(wire, box, program)
    terminal.watching.until("waiting")
    assert terminal.call("resize", cols=132, rows=50).status_code == 204
    terminal.watching.until("50 132")
    terminal.watching.exit_code()


def test_kill_ends_the_group_and_the_exit_still_arrives(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, "trap '' TERM HUP INT; echo here; sleep 600; echo not reached")
    terminal.watching.until("here")
    assert terminal.call("kill").status_code == 204
    assert terminal.watching.exit_code() == 137
    assert b"not reached" not in terminal.watching.seen


def test_kill_ends_the_job_in_the_foreground_too(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, ["bash", "--norc", "--noprofile", "-i"], env=[["PS1", "ready> "]])
    terminal.watching.until("ready> ")
    terminal.type("bash -c 'trap \"\" HUP; echo job $((1 + 1)):$$: runs; exec sleep 600'\r")
    terminal.watching.until("job 2:")
    job = terminal.watching.until(": runs")
    assert terminal.call("kill").status_code == 204
    assert terminal.watching.exit_code() == 137
    gone = f"for i in $(seq 3000); do kill -0 {job} || {{ echo gone; break; }}; sleep 0.01; done 2> /dev/null"
    assert texts(wire.events(box, gone, "bash")) == ["gone"]


def test_who_attaches_is_told_what_was_before_and_what_comes_then(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, "echo before; read line; echo after $line")
    terminal.watching.until("before")
    attached = [terminal.attach(), terminal.attach()]
    for one in attached:
        assert one.first()["type"] == "pty_data"
        one.until("before")
    terminal.type("all\r")
    for one in (terminal.watching, *attached):
        one.until("after all")
        assert one.exit_code() == 0


def test_a_session_outlives_its_client(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, "echo begun; read line; echo got $line")
    terminal.watching.until("begun")
    terminal.watching.close()
    terminal.type("typed\r")
    again = terminal.attach()
    again.until("got typed")
    assert again.exit_code() == 0


def test_those_that_run_are_listed(wire: Wire, box: str) -> None:
    assert wire.http.get(f"/v1/sandboxes/{box}/pty").json() == []
    running = Terminal(wire, box, "echo here; read line")
    ended = Terminal(wire, box, ["true"])
    ended.watching.exit_code()
    [listed] = wire.http.get(running.path).json()
    assert (listed["pty_id"], listed["cmd_label"], listed["exit_code"]) == (
        running.id,
        "echo here; read line",
        None,
    )
    assert isinstance(listed["created_at_ms"], int)


def test_a_read_waits_for_more_and_says_where_it_goes_on(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, "stty -echo; echo one; read line; echo two")
    terminal.watching.until("one\r\n")
    first = terminal.call("read", since_seq=0).json()
    assert base64.b64decode(first["data_b64"]) == b"one\r\n"
    assert first["exit_code"] is None
    assert terminal.call("read", since_seq=first["next_seq"], timeout_ms=1).json()["data_b64"] == ""
    terminal.type("\r")
    second = terminal.call("read", since_seq=first["next_seq"], max_bytes=3).json()
    assert base64.b64decode(second["data_b64"])[:2] in (b"tw", b"\r\n")
    terminal.watching.exit_code()
    assert terminal.call("read", since_seq=second["next_seq"]).json()["exit_code"] == 0


def test_a_read_may_ask_to_wait_for_any_time(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, "true")
    terminal.watching.exit_code()
    assert terminal.call("read", timeout_ms=10**400).json()["exit_code"] == 0


def test_bytes_arrive_as_they_are(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, r"stty -opost; printf 'h\303\251\377\000\342\200\250end'")
    terminal.watching.exit_code()
    assert terminal.watching.seen == b"h\xc3\xa9\xff\x00\xe2\x80\xa8end"


def test_a_flood_that_nobody_reads_is_kept_to_its_last_mebibyte(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, ["python3", "-c", "input(); print('x' * 5_000_000); print('the end')"])
    terminal.watching.close()
    terminal.type("\r")
    position = 0
    while (answer := terminal.call("read", since_seq=position).json())["exit_code"] is None:
        position = answer["next_seq"]
    late = terminal.attach()
    assert late.exit_code() == 0
    assert late.seen.endswith(b"the end\r\n")
    assert len(late.seen) <= 1 << 20


def test_a_delete_ends_it(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, "echo here; sleep 600")
    terminal.watching.until("here")
    wire.delete(box)
    assert terminal.watching.exit_code() == 137
    assert terminal.call("input", data_b64="").status_code == 404


def test_in_a_fork_the_parents_stay_with_it_and_are_counted(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, ["python3", "-c", "input('here')"])
    terminal.watching.until("here")
    answer = wire.post(f"/v1/sandboxes/{box}/fork", {"n": 1})
    child = answer.json()["children"][0]
    assert answer.headers["Podflare-Processes-Left-Behind"] == "1"
    assert wire.http.get(f"/v1/sandboxes/{child}/pty").json() == []
    own = Terminal(wire, child, "echo in the child")
    assert output(own) == "in the child\r\n"
    terminal.type("\r")
    assert terminal.watching.exit_code() == 0
    wire.delete(child)


def test_user_code_does_not_find_it_among_its_children(wire: Wire, box: str) -> None:
    Terminal(wire, box, ["true"]).watching.exit_code()
    events = wire.events(box, "import os\ntry: os.wait()\nexcept ChildProcessError: print('none')")
    assert texts(events) == ["none"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "shellCmd"),
        ({"argv": []}, "shellCmd"),
        ({"shellCmd": "true", "argv": ["true"]}, "shellCmd"),
        ({"shellCmd": 1}, "shellCmd"),
        ({"shellCmd": "true", "cols": 0}, "cols"),
        ({"shellCmd": "true", "rows": 70000}, "rows"),
        ({"shellCmd": "true", "env": {"A": "b"}}, "env"),
        ({"shellCmd": "true", "env": [["A=", "b"]]}, "env"),
        ({"shellCmd": "tr\0ue"}, "NUL"),
    ],
)
def test_an_order_that_cannot_be_meant_is_400_and_names_the_field(
    wire: Wire, box: str, body: dict[str, Any], field: str
) -> None:
    answer = wire.post(f"/v1/sandboxes/{box}/pty", body)
    assert answer.status_code == 400
    assert field in error_of(answer)


@pytest.mark.parametrize(
    "call", ["", "/pty_none/input", "/pty_none/resize", "/pty_none/kill", "/pty_none/read"]
)
def test_of_a_sandbox_that_never_was_it_is_404(wire: Wire, call: str) -> None:
    body = {"shellCmd": "true", "data_b64": "", "cols": 1, "rows": 1}
    answer = wire.post(f"/v1/sandboxes/{NEVER_WAS}/pty{call}", body)
    assert (answer.status_code, error_of(answer)) == (404, "sandbox not found")


def test_a_terminal_that_never_was_is_404(wire: Wire, box: str) -> None:
    for call, body in (
        ("input", {"data_b64": ""}),
        ("resize", {"cols": 1, "rows": 1}),
        ("kill", {}),
        ("read", {}),
    ):
        answer = wire.post(f"/v1/sandboxes/{box}/pty/pty_none/{call}", body)
        assert (answer.status_code, error_of(answer)) == (404, "pty not found")
    watching = Watching(wire, "GET", f"/v1/sandboxes/{box}/pty/pty_none/attach")
    assert watching.status == 404
    watching.close()


def test_input_that_is_not_base64_is_400(wire: Wire, box: str) -> None:
    terminal = Terminal(wire, box, "read line")
    assert terminal.call("input", data_b64="%").status_code == 400
    terminal.type("\r")
    terminal.watching.exit_code()
