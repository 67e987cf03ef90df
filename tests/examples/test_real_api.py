import pytest

from podflare import Sandbox


def largest(numbers):
    """A program of yours."""
    with Sandbox() as sandbox:
        sandbox.run_code(f"numbers = {numbers}")
        return sandbox.run_code("print(max(numbers))").stdout


@pytest.mark.podflare(target="both")
def test_on_the_emulator_and_on_the_real_api(podflare_sandbox):
    assert largest([3, 9, 4]) == "9"
    assert podflare_sandbox.run_code("print(6 * 7)").stdout == "42"


@pytest.mark.podflare(target="both", compare="outcome")
def test_whose_output_is_never_the_same(podflare_sandbox):
    assert podflare_sandbox.run_code("import time; print(time.time())").ok


@pytest.mark.podflare(target="real")
def test_on_the_real_api_alone(podflare_sandbox):
    assert "Ubuntu" in podflare_sandbox.run_code("cat /etc/os-release", language="bash").stdout
