"""Emulators beside each other do not touch each other."""

import signal
import subprocess
import sys

import pytest

from podflare import Client, NotFoundError, Sandbox

from ..matrix import SLOW
from .conftest import Start

KEPT = "print(name, open('/root/file').read())"


@SLOW
def test_a_sandbox_of_one_is_unknown_to_the_other(start: Start) -> None:
    one, other = start(), start()
    with Sandbox(host=one.url) as sandbox, Sandbox(host=other.url) as elsewhere:
        sandbox.run_code("open('/root/file', 'w').close(); name = 1")
        seen = elsewhere.run_code("import os; print(os.listdir('/root'), 'name' in globals())")
        assert seen.stdout == "[] False"
        with pytest.raises(NotFoundError):
            elsewhere.merge_into(sandbox)


@SLOW
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_the_end_of_one_leaves_the_other_as_it_was(start: Start, number: signal.Signals) -> None:
    one, other = start(), start()
    with Client(host=one.url) as ended, Sandbox(host=other.url) as sandbox:
        Sandbox(client=ended)
        sandbox.run_code("name = 'kept'; open('/root/file', 'w').write('kept')")
        sandbox.run_code("import subprocess; sleep = subprocess.Popen(['sleep', '1000'])")
        one.end(number)
        assert sandbox.run_code(KEPT).stdout == "kept kept"
        assert sandbox.run_code("print(sleep.poll()); sleep.kill(); _ = sleep.wait()").stdout == "None"
        [child] = sandbox.fork()
        assert child.run_code(KEPT).stdout == "kept kept"
        child.close()


@SLOW
def test_a_start_does_not_sweep_what_lives(start: Start) -> None:
    one = start()
    with Sandbox(host=one.url) as sandbox:
        sandbox.run_code("name = 'kept'; open('/root/file', 'w').write('kept')")
        start()
        start().end()
        assert sandbox.run_code(KEPT).stdout == "kept kept"
        [child] = sandbox.fork()
        assert child.run_code(KEPT).stdout == "kept kept"
        child.close()


@SLOW
@pytest.mark.parametrize("isolation", ["portable"], indirect=True)  # the server's matter alone
def test_a_port_in_use_is_one_line_and_exit_2(start: Start) -> None:
    one = start()
    port = one.url.rpartition(":")[2]
    command = [sys.executable, "-m", "podflare_emulator", "--port", port]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    [line] = ended.stderr.splitlines()
    assert port in line
    with Sandbox(host=one.url) as sandbox:
        assert sandbox.run_code("print('serves')").stdout == "serves"
