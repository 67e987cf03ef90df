"""`PodflareTool` as LangChain calls it."""

import asyncio
import copy
import gc
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from podflare import AsyncSandbox, NotFoundError, Sandbox

pytest.importorskip("langchain_core", reason="the package langchain-core is not installed")

from podflare.langchain import PodflareTool

from ...matrix import SLOW
from .stopping import AFTERWARDS, LIMIT, SLEEPS, STOPPED


def _destroyed(received: list[dict[str, Any]]) -> int:
    return [one["method"] for one in received].count("DELETE")


def test_the_model_sees_its_arguments(sandbox: Sandbox) -> None:
    tool = PodflareTool(sandbox)
    assert tool.name == "run_code"
    assert set(tool.args) == {"code", "language"}


def test_state_stays_between_calls(sandbox: Sandbox) -> None:
    tool = PodflareTool(sandbox)
    tool.invoke({"code": "x = 41"})
    assert tool.invoke({"code": "print(x + 1)"}) == "stdout:\n42\nstderr:\n\nexit_code: 0"
    assert "bash" in tool.invoke({"code": "echo bash", "language": "bash"})
    assert "42" in asyncio.run(tool.ainvoke({"code": "print(x + 1)"}))


def test_it_makes_a_sandbox_of_its_own(host: str, received: list[dict[str, Any]]) -> None:
    tool = PodflareTool(host=host)
    assert received == []
    tool.invoke({"code": "x = 1"})
    assert "1" in tool.invoke({"code": "print(x)"})
    tool.close()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_without_persistence_each_call_has_a_fresh_one(
    host: str, received: list[dict[str, Any]], kind: str
) -> None:
    tool = PodflareTool(host=host, persistent_sandbox=False)
    for _ in range(2):
        call = {"code": "print('x' in globals()); x = 1"}
        assert "False" in (tool.invoke(call) if kind == "sync" else asyncio.run(tool.ainvoke(call)))
    assert _destroyed(received) == 2


def test_a_given_sandbox_persists(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="give either"):
        PodflareTool(sandbox, persistent_sandbox=False)


def test_a_sandbox_that_is_gone_is_an_error_for_the_program(
    sandbox: Sandbox, instead: dict[str, Any]
) -> None:
    instead["exec"] = (404, {}, [b'{"error": "sandbox not found"}'])
    with pytest.raises(NotFoundError):
        PodflareTool(sandbox).invoke({"code": "1"})


def test_a_cancelled_call_interrupts_the_code(sandbox: Sandbox, instead: dict[str, Any]) -> None:
    begun, broken = threading.Event(), threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                begun.set()
                yield b'{"type":"stdout","data":"more","seq":0,"ts":1}\n'
        finally:
            broken.set()

    instead["exec"] = (200, {}, endless())

    async def cancel() -> None:
        running = asyncio.ensure_future(PodflareTool(sandbox).ainvoke({"code": "1"}))
        assert await asyncio.to_thread(begun.wait, 60)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await asyncio.to_thread(broken.wait, 60)

    asyncio.run(cancel())


def test_every_setting_of_a_sandbox_and_of_a_tool(host: str, received: list[dict[str, Any]]) -> None:
    tool = PodflareTool(
        host=host, ram_mib=512, egress=False, name="python", tags=["x"], timeout=60, max_output=10
    )
    assert "90 characters cut" in tool.invoke({"code": "print('x' * 100)"})
    tool.close()
    assert received[0]["body"] == {"template": "default", "ram_mib": 512, "egress": False}
    assert (tool.name, tool.tags) == ("python", ["x"])
    with pytest.raises(TypeError, match="no argument 'tempo'"):
        PodflareTool(tempo="default")


def test_an_async_sandbox(podflare_async_sandbox: AsyncSandbox) -> None:
    tool = PodflareTool(podflare_async_sandbox)
    assert "42" in asyncio.run(tool.ainvoke({"code": "print(6 * 7)"}))
    with pytest.raises(ValueError, match="async"):
        tool.invoke({"code": "1"})


@SLOW
@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_a_call_that_times_out_stops_the_code(
    podflare_sandbox: Sandbox, podflare_async_sandbox: AsyncSandbox, kind: str
) -> None:
    tool = PodflareTool(podflare_sandbox if kind == "blocking" else podflare_async_sandbox)

    async def stop_and_go_on() -> str:
        await tool.ainvoke({"code": "kept = 41"})
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(tool.ainvoke({"code": SLEEPS}), LIMIT)
        return str(await tool.ainvoke({"code": AFTERWARDS}))

    assert STOPPED in asyncio.run(stop_and_go_on())


def test_copies_and_pickles_lead_to_the_same_sandbox(open_sandboxes: Any) -> None:
    tool = PodflareTool(api_key="pf_live_secret", timeout=60)
    tool.invoke({"code": "x = 7"})
    for other in (copy.copy(tool), copy.deepcopy(tool), tool.model_copy(), pickle.loads(pickle.dumps(tool))):
        assert "7" in other.invoke({"code": "print(x)"})
        assert (other.name, other.persistent_sandbox) == ("run_code", True)
    assert b"secret" not in pickle.dumps(tool)
    tool.close()
    assert open_sandboxes() == []


class TestLangGraph:
    @pytest.fixture
    def graph(self, tmp_path: Any) -> Any:
        """A graph with the tool in its state, which each step reads from a checkpoint."""
        pytest.importorskip("langgraph", reason="the package langgraph is not installed")
        from langgraph.checkpoint.memory import InMemorySaver
        from langgraph.graph import START, StateGraph
        from typing_extensions import TypedDict

        class State(TypedDict, total=False):
            tool: PodflareTool
            code: str
            said: str

        async def work(state: State) -> State:
            return {"said": await state["tool"].ainvoke({"code": state["code"]})}

        builder = StateGraph(State)
        builder.add_node("work", work)
        builder.add_edge(START, "work")
        return builder.compile(checkpointer=InMemorySaver())

    @pytest.mark.filterwarnings("ignore:Deserializing unregistered type")
    def test_a_tool_in_checkpointed_state(self, graph: Any, open_sandboxes: Any) -> None:
        thread: Any = {"configurable": {"thread_id": "1"}}
        tool = PodflareTool(idle_timeout_seconds=600)
        asyncio.run(graph.ainvoke({"tool": tool, "code": "x = 7"}, thread))
        graph.update_state(thread, {"tool": tool})  # with the sandbox that it has made
        del tool
        gc.collect()
        said = asyncio.run(graph.ainvoke({"code": "x += 1; print(x)"}, thread))
        assert "stdout:\n8\n" in said["said"]
        later = graph.get_state(thread).values["tool"]
        assert isinstance(later, PodflareTool)
        assert "8" in later.invoke({"code": "print(x)"})
        later.close()
        assert open_sandboxes() == []

    def test_an_agent_calls_it_and_goes_on_in_the_next_turn(
        self, podflare_async_sandbox: AsyncSandbox
    ) -> None:
        pytest.importorskip("langchain.agents", reason="the package langchain is not installed")
        from langchain.agents import create_agent
        from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
        from langchain_core.messages import AIMessage
        from langgraph.checkpoint.memory import InMemorySaver

        class Model(GenericFakeChatModel):
            def bind_tools(self, tools: Any, **_: Any) -> Any:
                assert [tool.name for tool in tools] == ["run_code"]
                return self

        def calls(code: str) -> AIMessage:
            return AIMessage("", tool_calls=[{"name": "run_code", "args": {"code": code}, "id": code}])

        said = [calls("x = 41"), AIMessage("Noted."), calls("print(x + 1)"), AIMessage("42.")]
        agent = create_agent(
            Model(messages=iter(said)),
            tools=[PodflareTool(podflare_async_sandbox)],
            checkpointer=InMemorySaver(),
        )
        thread: Any = {"configurable": {"thread_id": "1"}}

        async def two_turns() -> list[Any]:
            await agent.ainvoke({"messages": [("user", "Let x be 41.")]}, thread)
            return list((await agent.ainvoke({"messages": [("user", "x + 1?")]}, thread))["messages"])

        messages = asyncio.run(two_turns())
        assert [message.type for message in messages[-4:]] == ["human", "ai", "tool", "ai"]
        assert "stdout:\n42\n" in messages[-2].content
