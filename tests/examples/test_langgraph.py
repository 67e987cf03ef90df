from typing import TypedDict

import pytest

pytest.importorskip("langgraph", reason="the package langgraph is not installed")

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from podflare.langchain import PodflareTool


class State(TypedDict, total=False):
    sandbox: str  # the id of a sandbox: all that a checkpoint has to hold
    code: str
    said: str


def work(state):
    return {"said": PodflareTool(state["sandbox"]).invoke({"code": state["code"]})}


def test_a_later_turn_finds_the_sandbox(podflare_sandbox):
    graph = StateGraph(State).add_node("work", work).add_edge(START, "work")
    agent, thread = graph.compile(checkpointer=InMemorySaver()), {"configurable": {"thread_id": "1"}}
    agent.invoke({"sandbox": podflare_sandbox.id, "code": "x = 41"}, thread)
    assert "42" in agent.invoke({"code": "print(x + 1)"}, thread)["said"]
