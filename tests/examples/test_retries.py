import time

import httpx
import pytest


def run(sandbox, code, attempts=3):
    """The program under test: who is told to come back later does, after the time that he is told."""
    while True:
        try:
            return sandbox.run_code(code)
        except httpx.HTTPStatusError as error:
            attempts -= 1
            if error.response.status_code not in (429, 503) or not attempts:
                raise
            time.sleep(float(error.response.headers.get("Retry-After", 0)))


def test_it_tries_again(podflare_emulator, podflare_sandbox):
    fault = podflare_emulator.fault("exec", status=429, retry_after=0, times=2)
    assert run(podflare_sandbox, "print(6 * 7)").stdout == "42"
    assert fault.used == 2


def test_it_gives_up(podflare_emulator, podflare_sandbox):
    podflare_emulator.fault("exec", status=503, times=None)
    with pytest.raises(httpx.HTTPStatusError):
        run(podflare_sandbox, "print(6 * 7)")
    assert [one.status for one in podflare_emulator.requests(call="exec")] == [503, 503, 503]


@pytest.mark.podflare(faults={"exec": [429, {"status": 503, "error": "draining"}]})
def test_by_marker_one_after_the_other(podflare_sandbox):
    assert run(podflare_sandbox, "print(6 * 7)").stdout == "42"


@pytest.mark.parametrize("connection", ["reset", "reset_after"])
def test_was_it_done_or_not(podflare_emulator, podflare_sandbox, connection):
    podflare_emulator.fault("exec", connection=connection)
    with pytest.raises(httpx.TransportError):
        podflare_sandbox.run_code("open('/root/paid', 'w').close()")
    paid = podflare_sandbox.run_code("import os; print(os.path.exists('/root/paid'))").stdout
    assert paid == str(connection == "reset_after")


def test_a_stream_that_breaks_off(podflare_emulator, podflare_sandbox):
    podflare_emulator.fault("exec", cut_after=1)
    lines = []
    with pytest.raises(httpx.TransportError):  # noqa: PT012
        for event in podflare_sandbox.run_code_stream("print(1); print(2)"):
            lines.append(event.data)
    assert lines == ["1"]


def test_an_interpreter_that_dies_and_a_new_sandbox(podflare_emulator, podflare_sandboxes):
    podflare_emulator.fault("exec", dies_after=1)
    dead, new = podflare_sandboxes(), podflare_sandboxes()
    assert dead.run_code("print(1); print(2)").exit_code == 137
    with pytest.raises(httpx.HTTPStatusError, match="agent did not respond"):
        dead.run_code("print(3)")
    assert new.run_code("print(3)").stdout == "3"


def test_a_service_that_is_down_for_a_moment(podflare_emulator, podflare_sandbox):
    refusals = 0
    with podflare_emulator.refusing_connections(seconds=0.1):
        while True:
            try:
                result = podflare_sandbox.run_code("print('back')")
                break
            except httpx.ConnectError:
                refusals += 1
    assert result.stdout == "back"
    assert refusals > 0
