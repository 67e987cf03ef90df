"""`podflare-emulator exec -- PROGRAM`: a program whose clients find an emulator of its own."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from ..matrix import SLOW

COMMAND = [sys.executable, "-m", "podflare_emulator", "exec", "--isolation", "portable", "--"]
PROGRAM = """
import os
from podflare import Sandbox
with Sandbox() as sandbox:
    print(sandbox.run_code("print(6 * 7)").stdout)
assert os.environ["PODFLARE_API_URL"] == os.environ["PODFLARE_HOST"]
print(os.environ["PODFLARE_API_KEY"])
raise SystemExit(7)
"""


def execute(*program: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PODFLARE_API_KEY": "a real one"}
    return subprocess.run([*COMMAND, *program], capture_output=True, text=True, env=environment)


@SLOW
def test_its_clients_find_the_emulator_and_its_status_is_the_commands() -> None:
    done = execute(sys.executable, "-c", PROGRAM)
    assert (done.returncode, done.stdout, done.stderr) == (7, "42\npk_emulator\n", "")


@SLOW
def test_a_program_that_a_signal_ends() -> None:
    assert execute("sh", "-c", "kill -KILL $$").returncode == 128 + signal.SIGKILL


@SLOW
@pytest.mark.parametrize(("program", "status"), [("no-such-program", 127), ("/", 126)])
def test_a_program_that_cannot_be_started(program: str, status: int) -> None:
    done = execute(program)
    assert done.returncode == status
    [line] = done.stderr.splitlines()
    assert line.startswith(f"podflare-emulator: exec: {program}: ")


@SLOW
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_program_and_nothing_is_left(number: signal.Signals) -> None:
    program = (
        "import os, signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(5))\n"
        "print(os.environ['PODFLARE_HOST'], flush=True)\n"
        "time.sleep(60)\n"
    )
    command = subprocess.Popen(
        [*COMMAND, sys.executable, "-c", program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert command.stdout is not None
    assert command.stdout.readline().startswith("http://127.0.0.1:")
    below = psutil.Process(command.pid).children(recursive=True)
    command.send_signal(number)
    command.communicate()
    assert command.returncode == 5
    assert [process for process in below if process.is_running()] == []
