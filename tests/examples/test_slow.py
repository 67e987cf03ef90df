import httpx
import pytest

from podflare import Client, Sandbox


def greet(patience=1):
    """The program under test: who waits too long gets a greeting that needs no sandbox."""
    try:
        with Client(timeout=patience) as client, Sandbox(client=client) as sandbox:
            return sandbox.run_code("print('hello from a sandbox')").stdout
    except httpx.TimeoutException:
        return "hello"


@pytest.mark.podflare(leaks="ignore")  # what it gave up on was made, and nobody knows its id
def test_it_does_not_wait_for_ever(podflare_emulator):
    podflare_emulator.latency("create", 600, times=1)
    assert greet() == "hello"
    assert greet(patience=5) == "hello from a sandbox"


@pytest.mark.podflare(latency={"any": (0.001, 0.02)})
def test_answers_that_take_their_time_are_waited_for(podflare_emulator):
    assert greet(patience=5) == "hello from a sandbox"


@pytest.mark.podflare(leaks="ignore")
def test_a_sandbox_that_has_to_be_booted(podflare_emulator):
    podflare_emulator.empty_pool(times=1)
    assert greet() == "hello"
    assert greet(patience=5) == "hello from a sandbox"


def test_the_timings_of_the_service(podflare_emulator):
    podflare_emulator.use_profile("hosted")
    assert greet(patience=5) == "hello from a sandbox"
