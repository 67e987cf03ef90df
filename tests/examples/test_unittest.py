import unittest

import pytest

from podflare import Sandbox


@pytest.mark.usefixtures("podflare_emulator")
class TestProgram(unittest.TestCase):
    """Its sandboxes are the emulator's."""

    def test_answer(self):
        with Sandbox() as sandbox:
            self.assertEqual(sandbox.run_code("print(6 * 7)").stdout, "42")

    @pytest.mark.podflare(files={"/data/x.csv": "a,b\n1,2\n"})
    def test_marker(self):
        with Sandbox() as sandbox:
            self.assertEqual(sandbox.download("/data/x.csv"), b"a,b\n1,2\n")


class TestSandbox(unittest.TestCase):
    """Takes what a fixture gives."""

    @pytest.fixture(autouse=True)
    def _take(self, podflare_sandbox, podflare_emulator):
        self.sandbox, self.emulator = podflare_sandbox, podflare_emulator

    def test_what_has_run(self):
        self.sandbox.run_code("x = 1")
        self.assertEqual([one.code for one in self.emulator.execs()], ["x = 1"])
