"""Python of which a framework wants the value, without a framework."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

from podflare import Sandbox
from podflare.integrations.evaluating import evaluate
from podflare.integrations.running import CodeRunner


@pytest.fixture
def runner(podflare_sandbox: Sandbox) -> Iterator[CodeRunner]:
    with CodeRunner(podflare_sandbox, max_output=None, settings={}) as made:
        yield made


@pytest.mark.parametrize(
    "value", [math.inf, -math.inf, 1.5, 10**30, None, True, "\udcff\u2028'\"", {"a": [1]}]
)
def test_a_value_goes_in_and_comes_back(runner: CodeRunner, value: Any) -> None:
    assert evaluate(runner, "repr(x)", {"x": value}).value == repr(value)
    assert evaluate(runner, "repr(tool(x))", {"x": value}, {"tool": lambda given: given}).value == repr(value)


def test_what_is_no_number(runner: CodeRunner) -> None:
    assert (
        evaluate(runner, "x != x and tool() != tool()", {"x": math.nan}, {"tool": lambda: math.nan}).value
        is True
    )


def test_a_tool_whose_result_is_nothing_that_json_has(runner: CodeRunner) -> None:
    done = evaluate(runner, "tool()", tools={"tool": object})
    assert (done.error, "not JSON serializable" in done.message) == ("RuntimeError", True)
    assert evaluate(runner, "1 + 1").value == 2
