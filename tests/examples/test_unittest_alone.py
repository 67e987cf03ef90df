import unittest
from contextlib import ExitStack

from podflare import Sandbox
from podflare_emulator import Emulator

emulator = Emulator()


def setUpModule():
    emulator.start()


def tearDownModule():
    emulator.stop()


class TestProgram(unittest.TestCase):
    def setUp(self):
        arranged = ExitStack()
        arranged.enter_context(emulator.redirect_clients())
        arranged.callback(emulator.reset)
        self.addCleanup(arranged.close)

    def test_answer(self):
        with Sandbox() as sandbox:
            self.assertEqual(sandbox.run_code("print(6 * 7)").stdout, "42")
