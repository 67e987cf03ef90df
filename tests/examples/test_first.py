from podflare import Sandbox


def test_the_answer(podflare_sandbox):
    result = podflare_sandbox.run_code("print(6 * 7)")
    assert (result.stdout, result.exit_code) == ("42", 0)


def answer(question):
    """A program of yours: it knows nothing of the emulator."""
    with Sandbox() as sandbox:
        return sandbox.run_code(f"print({question})").stdout


def test_a_program_that_makes_its_own_sandboxes(podflare_emulator):
    assert answer("6 * 7") == "42"
