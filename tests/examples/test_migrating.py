from unittest import mock

import podflare


def largest(numbers):
    """A program of yours."""
    with podflare.Sandbox() as sandbox:
        result = sandbox.run_code(f"print(max({numbers!r}))")
        if result.exit_code:
            raise ValueError(result.stderr)
        return int(result.stdout)


def test_with_a_mock_by_hand():
    with mock.patch.object(podflare, "Sandbox") as faked:
        sandbox = faked.return_value.__enter__.return_value
        sandbox.run_code.return_value = mock.Mock(stdout="9", stderr="", exit_code=0)
        assert largest([3, 9, 4]) == 9
        sandbox.run_code.assert_called_once_with("print(max([3, 9, 4]))")


def test_with_the_emulator(podflare_emulator):
    assert largest([3, 9, 4]) == 9
    assert [one.code for one in podflare_emulator.execs()] == ["print(max([3, 9, 4]))"]
