"""The executor for smolagents' `CodeAgent`, with a fake model."""

from typing import Any

import pytest

from podflare import Sandbox

pytest.importorskip("smolagents", reason="the package smolagents is not installed")

from smolagents import CodeAgent, Model, Tool
from smolagents.models import ChatMessage, MessageRole
from smolagents.utils import AgentError

from podflare.integrations.smolagents import PodflareExecutor

from ...matrix import SLOW
from .stopping import AFTERWARDS, LIMIT, SLEEPS, STOPPED


class _Scripted(Model):
    """Writes these pieces of code, one a step."""

    def __init__(self, *codes: str) -> None:
        super().__init__(model_id="scripted")
        self.codes = list(codes)
        self.asked: list[str] = []

    def generate(self, messages: Any, *_: Any, **__: Any) -> ChatMessage:
        self.asked.append(str(messages[-1]))
        return ChatMessage(role=MessageRole.ASSISTANT, content=f"<code>\n{self.codes.pop(0)}\n</code>")


class _Price(Tool):
    name = "price"
    description = "What a fruit costs."
    inputs = {"fruit": {"type": "string", "description": "Its name"}}  # noqa: RUF012 - as the framework declares it
    output_type = "integer"

    def forward(self, fruit: str) -> int:
        return {"apple": 3, "pear": 4}[fruit]


def _agent(executor: PodflareExecutor, *codes: str, tools: Any = ()) -> CodeAgent:
    return CodeAgent(tools=list(tools), model=_Scripted(*codes), executor=executor, verbosity_level=0)


def test_an_agent_answers_by_code_and_state_stays(podflare_sandbox: Sandbox) -> None:
    agent = _agent(
        PodflareExecutor(podflare_sandbox), "x = 41", "print(x)\nx + 1", "final_answer({'x': x + 1})"
    )
    assert agent.run("What is x + 1?") == {"x": 42}
    assert "Execution logs:\\n41" in agent.model.asked[-1]
    assert "Last output from code snippet:\\n42" in agent.model.asked[-1]


def test_the_agents_tools_and_variables_are_in_the_sandbox(podflare_sandbox: Sandbox) -> None:
    agent = _agent(
        PodflareExecutor(podflare_sandbox), "final_answer(price('apple') * count)", tools=[_Price()]
    )
    assert agent.run("How much?", additional_args={"count": 5}) == 15
    assert podflare_sandbox.run_code("print(price('pear'))").stdout == "4"


def test_an_error_is_told_to_the_model(podflare_sandbox: Sandbox) -> None:
    codes = ["def invert(n):\n    return 1 / n", "print('so far')\ninvert(0)", "final_answer('mended')"]
    agent = _agent(PodflareExecutor(podflare_sandbox), *codes)
    assert agent.run("go") == "mended"
    assert "so far" in agent.model.asked[-1]
    assert "return 1 / n" in agent.model.asked[-1]  # its traceback shows the lines
    assert "ZeroDivisionError" in agent.model.asked[-1]


def test_its_own_sandbox_ends_with_it(open_sandboxes: Any) -> None:
    with PodflareExecutor(idle_timeout_seconds=60) as executor:
        assert _agent(executor, "final_answer(1)").run("go") == 1
        assert len(open_sandboxes()) == 1
    assert open_sandboxes() == []
    agent = _agent(PodflareExecutor(), "final_answer(2)")
    assert agent.run("go") == 2
    agent.cleanup()
    assert open_sandboxes() == []


@SLOW
def test_code_that_takes_too_long_is_stopped(podflare_sandbox: Sandbox) -> None:
    executor = PodflareExecutor(podflare_sandbox, timeout=LIMIT)
    executor("kept = 41")
    with pytest.raises(AgentError, match=f"within {LIMIT} seconds"):
        executor(SLEEPS)
    assert executor(AFTERWARDS).logs == STOPPED


@pytest.mark.podflare(commands={"pip": "Successfully installed", "python3": "Successfully installed"})
def test_packages_are_installed_in_the_sandbox(podflare_emulator: Any, podflare_sandbox: Sandbox) -> None:
    PodflareExecutor(podflare_sandbox, additional_imports=["left-pad", "numpy>=2"])
    assert podflare_emulator.execs()[-1].code.endswith(" left-pad 'numpy>=2'")


def test_what_cannot_be_installed_is_an_error(sandbox: Sandbox, events_of_exec: Any) -> None:
    events_of_exec(("stderr", "no such package"), ("exit", 1))
    with pytest.raises(AgentError, match="no such package"):
        PodflareExecutor(sandbox, additional_imports=["left-pad"])
