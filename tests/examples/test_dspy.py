import pytest

pytest.importorskip("dspy", reason="the package dspy is not installed")

from podflare.integrations.dspy import PodflareInterpreter

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the framework's dependencies


def test_an_interpreter(podflare_emulator):
    # as in dspy.configure(interpreter_factory=PodflareInterpreter)
    with PodflareInterpreter(tools={"price": {"apple": 3, "pear": 4}.get}) as interpreter:
        assert interpreter.execute("total = price('apple') + price('pear')\ntotal") == 7
