import unittest

import pytest

from podflare import Sandbox


@pytest.fixture(scope="module")
def box(podflare_emulator_module):
    with Sandbox() as box:
        box.run_code("x = 1")
        yield box


def test_shared(box):
    assert box.run_code("print(x)").stdout == "1"


@pytest.mark.usefixtures("podflare_emulator_class")
class TestProgram(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.box = Sandbox()
        cls.addClassCleanup(cls.box.close)

    def test_answer(self):
        self.assertEqual(self.box.run_code("print(6 * 7)").stdout, "42")
