"""Variables that the test's author gives to sandboxes, on every isolation backend; none of the host's arrives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from podflare import Sandbox
from podflare_emulator import Emulator, EmulatorError

from ..matrix import SLOW, backends
from ..serving import serving

PYTHON = """
import os, subprocess, sys
print(os.environ.get("FIRST"), os.environ.get("SECOND"), os.environ.get("HOST_SECRET"))
code = "import os; print(os.environ.get('FIRST'), os.environ.get('SECOND'), os.environ.get('HOST_SECRET'))"
subprocess.run([sys.executable, "-c", code])
"""
BASH = "echo $FIRST $SECOND $HOST_SECRET; sh -c 'echo $FIRST $SECOND $HOST_SECRET'"


@pytest.fixture(scope="module", params=backends())
def server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    os.environ["HOST_SECRET"] = "secret"
    try:
        with serving(request.param, env={"FIRST": "1 one"}) as emulator:
            yield emulator
    finally:
        del os.environ["HOST_SECRET"]


@SLOW
def test_all_that_runs_in_a_sandbox_has_them_and_nothing_of_the_hosts(emulator: Emulator) -> None:
    emulator.env["SECOND"] = "2"
    with Sandbox() as sandbox:
        assert sandbox.run_code(PYTHON).stdout == "1 one 2 None\n1 one 2 None"
        assert sandbox.run_code(BASH, "bash").stdout == "1 one 2\n1 one 2"


def test_forks_inherit_them(emulator: Emulator) -> None:
    emulator.env = {"SECOND": "2"}
    with Sandbox() as sandbox:
        emulator.env.clear()
        (child,) = sandbox.fork(1)
        with child:
            assert child.run_code(BASH, "bash").stdout == "1 one 2\n1 one 2"
            assert child.run_code(PYTHON).stdout == "1 one 2 None\n1 one 2 None"


def test_a_reset_forgets_those_of_the_test_and_keeps_those_of_the_emulator(emulator: Emulator) -> None:
    emulator.env["SECOND"] = "2"
    emulator.reset()
    assert dict(emulator.env) == {}
    with Sandbox() as sandbox:
        assert sandbox.run_code("echo $FIRST $SECOND", "bash").stdout == "1 one"


def test_one_of_the_tests_comes_before_one_of_the_emulators(emulator: Emulator) -> None:
    emulator.env["FIRST"] = "another"
    with Sandbox() as sandbox:
        assert sandbox.run_code("import os; print(os.environ['FIRST'])").stdout == "another"


@SLOW
@pytest.mark.parametrize(
    ("name", "value"), [("PATH", "/bin"), ("A=B", "1"), ("", "1"), ("A", 1), ("A", "\0")]
)
def test_what_cannot_be_is_refused_and_nothing_is_changed(name: str, value: str) -> None:
    with Emulator(isolation="portable", pool_size=0) as emulator:
        emulator.env["KEPT"] = "1"
        with pytest.raises(EmulatorError, match=r"^env: "):
            emulator.env[name] = value
        assert dict(emulator.env) == {"KEPT": "1"}


@SLOW
def test_a_fork_by_replay_has_them() -> None:
    with Emulator(fork="replay", env={"FIRST": "1"}) as emulator, emulator.redirect_clients():
        emulator.env["SECOND"] = "2"
        with Sandbox() as sandbox:
            emulator.env.clear()
            sandbox.run_code("import os; x = os.environ['FIRST'] + os.environ['SECOND']")
            (child,) = sandbox.fork(1)
            with child:
                assert child.run_code("print(x)").stdout == "12"


@SLOW
def test_the_control_api_takes_and_refuses_the_same() -> None:
    with Emulator(isolation="portable", pool_size=0) as emulator, emulator.redirect_clients():
        call = f"{emulator.url}/_emulator/set_env"
        assert httpx.post(call, json={"env": {"FIRST": "1"}}).status_code == 200
        with Sandbox() as sandbox:
            assert sandbox.run_code("echo $FIRST", "bash").stdout == "1"
        refused = httpx.post(call, json={"env": {"HOME": "/x"}})
        assert refused.status_code == 400
        assert "HOME is the sandbox's own" in refused.json()["error"]


@SLOW
def test_the_command_gives_a_value_or_passes_one_on() -> None:
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "podflare_emulator", "--port", "0", "--isolation", "portable"),
            *("--env", "FIRST=a=b", "--env", "SECOND"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "SECOND": "2", "HOST_SECRET": "secret"},
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with Sandbox(host=url) as sandbox:
            assert sandbox.run_code("echo $FIRST $SECOND $HOST_SECRET", "bash").stdout == "a=b 2"
        process.terminate()
