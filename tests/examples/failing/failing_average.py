from podflare import Sandbox


def average(numbers):
    """A program of yours, with a mistake."""
    with Sandbox() as sandbox:
        sandbox.run_code(f"numbers = {numbers}")
        return sandbox.run_code("print(sum(numbers) / len(number))").stdout


def test_average(podflare_emulator):
    assert average([1, 2, 6]) == "3.0"
