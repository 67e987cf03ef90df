"""The code in a sandbox cannot arrange or end the test that runs it, though it may reach the emulator's port."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from podflare import Sandbox
from podflare_emulator import Emulator

from ..matrix import SLOW
from ..serving import serving

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="it is Linux that tells whose a connection is"
)

ASK = """
import urllib.error, urllib.request
def ask(name):
    request = urllib.request.Request("{url}/_emulator/" + name, b"{{}}", {{"Content-Type": "application/json"}})
    try:
        with urllib.request.urlopen(request) as answer:
            print(answer.status)
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode())
"""
REFUSAL = '403 {"error":"the control API is for the author of a test; this call comes from inside a sandbox"}'


@pytest.fixture(scope="module", params=["namespace", "preload", "portable"])
def machine_emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """Its sandboxes have the machine's network: with one of their own they do not come this far."""
    with serving(request.param, network="host") as emulator:
        yield emulator


@SLOW
def test_from_a_network_of_its_own_the_port_is_not_there() -> None:
    with serving("namespace", network="private") as emulator, Sandbox(host=emulator.url) as sandbox:
        port = emulator.url.rpartition(":")[2]
        for address in ("127.0.0.1", "10.0.2.2", "10.0.2.3"):
            asked = sandbox.run_code(f"exec 3<> /dev/tcp/{address}/{port}", language="bash")
            assert (asked.exit_code, asked.stdout) == (1, ""), address


@SLOW
def test_a_reset_by_the_sandboxs_python(machine: Sandbox, machine_emulator: Emulator) -> None:
    machine.run_code(ASK.format(url=machine_emulator.url))
    assert machine.run_code("ask('reset')").stdout == REFUSAL
    (child,) = machine.fork(1)
    with child:
        assert child.run_code("ask('reset')").stdout == REFUSAL


def test_a_call_by_a_program_that_it_has_started(machine: Sandbox, machine_emulator: Emulator) -> None:
    program = ASK.format(url=machine_emulator.url) + "ask('execs')"
    for start in ("", "setsid --wait "):
        assert (
            machine.run_code(f"{start}python3 -c {shlex.quote(program)}", language="bash").stdout == REFUSAL
        )


def test_a_call_whose_maker_does_not_wait_for_the_answer(
    machine: Sandbox, machine_emulator: Emulator
) -> None:
    port = machine_emulator.url.rpartition(":")[2]
    request = "POST /_emulator/reset HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n"
    for _ in range(5):
        sent = machine.run_code(f"printf '{request}' > /dev/tcp/127.0.0.1/{port}", language="bash")
        assert sent.exit_code == 0
        httpx.post(f"{machine_emulator.url}/_emulator/requests").raise_for_status()
    assert machine.run_code("print('still there')").stdout == "still there"


def test_calls_from_outside(machine_emulator: Emulator) -> None:
    """From the test's own process, and from another that it has started, as a shell's curl is."""
    url = machine_emulator.url
    assert httpx.post(f"{url}/_emulator/stubs_used").json() == {"result": []}
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(url=url) + "ask('execs')"], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("200\n", "")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_from_the_authors_shell(machine_emulator: Emulator) -> None:
    url = f"{machine_emulator.url}/_emulator/stubs_used"
    done = subprocess.run(["curl", "-sS", "-X", "POST", url], capture_output=True, text=True)
    assert done.stdout == '{"result":[]}'
