"""The interpreter for DSPy, with its own fake model."""

from typing import Any

import pytest

from podflare import Sandbox

pytest.importorskip("dspy", reason="the package dspy is not installed")

import dspy
from dspy.primitives.code_interpreter import (
    CodeExecutionError,
    CodeInterpreter,
    CodeInterpreterError,
    FinalOutput,
)
from dspy.utils.dummies import DummyLM

from podflare.integrations.dspy import PodflareInterpreter

from .stopping import AFTERWARDS, LIMIT, SLEEPS, STOPPED

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def interpreter(podflare_sandbox: Sandbox) -> PodflareInterpreter:
    return PodflareInterpreter(podflare_sandbox)


def test_it_is_one_of_the_frameworks(interpreter: PodflareInterpreter) -> None:
    assert isinstance(interpreter, CodeInterpreter)


def test_the_result_is_a_value_or_what_was_printed(interpreter: PodflareInterpreter) -> None:
    assert interpreter.execute("x = n + 1", {"n": 41}) is None
    assert interpreter.execute("print('printed')\nx") == 42
    assert interpreter.execute("print(x)\nprint(x)") == "42\n42"
    assert interpreter.execute("{1, 1}") == "{1}"


def test_errors_are_the_frameworks(interpreter: PodflareInterpreter) -> None:
    with pytest.raises(CodeExecutionError, match="ZeroDivisionError: division by zero"):
        interpreter.execute("1 / 0")
    with pytest.raises(SyntaxError):
        interpreter.execute("1 +")
    interpreter.shutdown()
    with pytest.raises(CodeInterpreterError, match="shut down"):
        interpreter.execute("1")


def test_what_is_submitted(interpreter: PodflareInterpreter) -> None:
    assert interpreter.execute("SUBMIT(6 * 7)") == FinalOutput({"output": 42})
    interpreter.output_fields = [{"name": "a"}, {"name": "b"}]
    assert interpreter.execute("SUBMIT(1, 2)") == FinalOutput({"a": 1, "b": 2})
    assert interpreter.execute("SUBMIT(b=2, a=1)") == FinalOutput({"a": 1, "b": 2})
    with pytest.raises(CodeExecutionError, match="one value for each of: a, b"):
        interpreter.execute("SUBMIT(1)")


def test_tools_of_this_process_are_called_from_the_sandbox(interpreter: PodflareInterpreter) -> None:
    asked: list[str] = []

    def look_up(word: str, times: int = 1) -> list[str]:
        if word == "bad":
            raise KeyError(word)
        asked.append(word)
        return [word.upper()] * times

    interpreter.tools["look_up"] = look_up
    code = """
print("before")
words = [look_up(word, times=2)[0] for word in ("a", "b")]
print("after")
try:
    look_up("bad")
except RuntimeError as error:
    print(error)
"""
    assert interpreter.execute(code) == "before\nafter\nKeyError: 'bad'"
    assert asked == ["a", "b"]
    assert interpreter.execute("words") == ["A", "B"]
    assert interpreter.execute("SUBMIT(words)") == FinalOutput({"output": ["A", "B"]})
    with pytest.raises(CodeExecutionError, match="NameError"):
        interpreter.execute("missing")


def test_code_that_takes_too_long_is_stopped(podflare_sandbox: Sandbox) -> None:
    interpreter = PodflareInterpreter(podflare_sandbox, timeout=LIMIT)
    interpreter.execute("kept = 41")
    with pytest.raises(CodeExecutionError, match=f"within {LIMIT} seconds"):
        interpreter.execute(SLEEPS)
    assert interpreter.execute(AFTERWARDS) == STOPPED


def test_with_tools_a_loop_that_takes_too_long_is_stopped(podflare_sandbox: Sandbox) -> None:
    interpreter = PodflareInterpreter(podflare_sandbox, timeout=LIMIT, tools={"tool": lambda: 1})
    with pytest.raises(CodeExecutionError, match=f"within {LIMIT} seconds"):
        interpreter.execute("n = tool()\nwhile True: n += 1")
    interpreter.tools.clear()
    interpreter.execute("import threading; [one.join(60) for one in threading.enumerate() if one.daemon]")
    assert interpreter.execute("before = n\nn == before") is True


def test_a_program_of_thought(podflare_sandbox: Sandbox) -> None:
    answers = [
        {"reasoning": "r", "generated_code": "```python\nresult = 6 * 7\nSUBMIT({'answer': result})\n```"},
        {"reasoning": "r", "answer": "42"},
    ]
    with dspy.context(lm=DummyLM(answers)):
        program = dspy.ProgramOfThought(
            "question -> answer", interpreter_factory=lambda: PodflareInterpreter(podflare_sandbox)
        )
        assert program(question="6 * 7?").answer == "42"
    assert podflare_sandbox.run_code("print(result)").stdout == "42"


def test_a_recursive_model_asks_a_model_from_the_sandbox(open_sandboxes: Any) -> None:
    first = "part = llm_query('What is in ' + document[:5] + '?')\nprint(part)"
    answers = [
        {"reasoning": "r", "code": f"```python\n{first}\n```"},
        {"reasoning": "r", "code": "```python\nSUBMIT(part.strip()[-2:])\n```"},
    ]
    sub_model = DummyLM([{"response": "It says 42"}])
    with dspy.context(lm=DummyLM(answers)):
        program = dspy.RLM(
            "document -> answer", interpreter_factory=PodflareInterpreter, sub_lm=sub_model, max_iters=3
        )
        assert program(document="six times seven").answer == "42"
    assert open_sandboxes() == []
