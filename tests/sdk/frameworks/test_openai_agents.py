import asyncio
import copy
import gc
import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from podflare import AsyncSandbox, Client, NotFoundError, Sandbox
from podflare.integrations.openai_agents import podflare_code_interpreter

from ...matrix import SLOW
from .stopping import AFTERWARDS, LIMIT, SLEEPS, STOPPED


@pytest.fixture
def agents() -> Any:
    return pytest.importorskip("agents", reason="the package openai-agents is not installed")


async def _run_agent(agents: Any, tool: Any, *calls: dict[str, str]) -> list[dict[str, Any]]:
    """Let an agent, whose model makes these calls, one a turn, run to its end; return the tool's outputs."""
    responses = pytest.importorskip("openai.types.responses")
    seen: list[dict[str, Any]] = []

    class ScriptedModel(agents.Model):  # type: ignore[misc]
        turn = 0

        async def get_response(self, *positional: Any, **named: Any) -> Any:
            # Older versions of the framework give the items as the second positional argument.
            items = named["input"] if "input" in named else positional[1]
            seen[:] = [item for item in items if isinstance(item, dict)]
            output: Any
            if self.turn < len(calls):
                output = responses.ResponseFunctionToolCall(
                    type="function_call",
                    call_id=f"call_{self.turn}",
                    name="run_code",
                    arguments=json.dumps(calls[self.turn]),
                )
            else:
                text = responses.ResponseOutputText(type="output_text", text="done", annotations=[])
                output = responses.ResponseOutputMessage(
                    id="msg_1", type="message", role="assistant", status="completed", content=[text]
                )
            self.turn += 1
            return agents.ModelResponse(output=[output], usage=agents.Usage(), response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    agent = agents.Agent(name="test", model=ScriptedModel(), tools=[tool])
    config = agents.RunConfig(tracing_disabled=True)
    result = await agents.Runner.run(agent, "go", run_config=config)
    assert result.final_output == "done"
    return [item for item in seen if item.get("type") == "function_call_output"]


def _run(agents: Any, tool: Any, *calls: dict[str, str]) -> list[dict[str, Any]]:
    return asyncio.run(_run_agent(agents, tool, *calls))


@SLOW
def test_an_agent_runs_code_and_sees_what_it_printed(agents: Any, sandbox: Sandbox) -> None:
    outputs = _run(
        agents,
        podflare_code_interpreter(sandbox),
        {"code": "x = 6", "language": "python"},
        {"code": "import sys; print(x * 7); print('hm', file=sys.stderr)", "language": "python"},
        {"code": "echo from $0; exit 3", "language": "bash"},
    )
    assert [output["output"] for output in outputs] == [
        str({"stdout": "", "stderr": "", "exit_code": 0}),
        str({"stdout": "42", "stderr": "hm", "exit_code": 0}),
        str({"stdout": "from bash", "stderr": "", "exit_code": 3}),
    ]


def test_the_model_is_told_the_parameters(agents: Any, sandbox: Sandbox) -> None:
    tool = podflare_code_interpreter(sandbox)
    assert isinstance(tool, agents.FunctionTool)
    assert tool.name == "run_code"
    assert "sandbox" in tool.description
    assert tool.params_json_schema["properties"]["code"]["type"] == "string"
    assert tool.params_json_schema["properties"]["language"]["enum"] == ["python", "bash"]


def test_arguments_that_do_not_fit_are_told_to_the_model(agents: Any, sandbox: Sandbox) -> None:
    (output,) = _run(agents, podflare_code_interpreter(sandbox), {"code": "1", "language": "ruby"})
    assert "error" in output["output"]


def test_a_sandbox_that_is_gone_ends_the_run(agents: Any, sandbox: Sandbox, instead: dict[str, Any]) -> None:
    instead["exec"] = (404, {}, [b'{"error": "sandbox not found"}'])
    with pytest.raises(Exception, match="sandbox not found") as caught:
        _run(agents, podflare_code_interpreter(sandbox), {"code": "1"})
    assert isinstance(caught.value, NotFoundError) or isinstance(caught.value.__cause__, NotFoundError)


@SLOW
def test_without_a_sandbox_the_tool_makes_its_own_when_it_is_first_called(
    agents: Any, host: str, received: list[dict[str, Any]]
) -> None:
    tool: Any = podflare_code_interpreter(host=host, api_key="pk_1", template="python-datasci")
    assert received == []
    outputs = _run(agents, tool, {"code": "x = 1"}, {"code": "print(x)"})
    assert "'stdout': '1'" in outputs[1]["output"]
    creations = [request for request in received if request["path"] == "/v1/sandboxes"]
    assert [request["body"] for request in creations] == [{"template": "python-datasci"}]
    assert received[-1]["headers"]["Authorization"] == "Bearer pk_1"
    del tool
    gc.collect()
    assert received[-1]["method"] == "DELETE"


def test_a_given_sandbox_is_not_closed(agents: Any, sandbox: Sandbox, received: list[dict[str, Any]]) -> None:
    _run(agents, podflare_code_interpreter(sandbox), {"code": "x = 1"})
    gc.collect()
    assert sandbox.run_code("print(x)").stdout == "1"


def test_the_event_loop_goes_on_while_code_runs(
    agents: Any, sandbox: Sandbox, instead: dict[str, Any]
) -> None:
    started, loop_is_alive = threading.Event(), threading.Event()

    def lines() -> Iterator[bytes]:
        started.set()
        exit_code = 0 if loop_is_alive.wait(60) else 1
        yield b'{"type":"exit","data":%d,"seq":0,"ts":1}\n' % exit_code

    instead["exec"] = (200, {}, lines())

    async def run_and_go_on() -> list[dict[str, Any]]:
        run = asyncio.create_task(_run_agent(agents, podflare_code_interpreter(sandbox), {"code": ""}))
        while not started.is_set():
            await asyncio.sleep(0)
        loop_is_alive.set()
        return await run

    (output,) = asyncio.run(run_and_go_on())
    assert "'exit_code': 0" in output["output"]


def test_a_missing_framework_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "agents", None)
    with pytest.raises(ImportError, match=r"pip install 'podflare\[openai-agents\]'"):
        podflare_code_interpreter()


def test_a_cancelled_run_breaks_the_request_off(
    agents: Any, sandbox: Sandbox, instead: dict[str, Any]
) -> None:
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
        running = asyncio.ensure_future(_run_agent(agents, podflare_code_interpreter(sandbox), {"code": "1"}))
        assert await asyncio.to_thread(begun.wait, 60)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await asyncio.to_thread(broken.wait, 60)

    asyncio.run(cancel())


def test_every_setting_of_a_sandbox_and_a_client(
    agents: Any, host: str, received: list[dict[str, Any]]
) -> None:
    settings: dict[str, Any] = {"timeout_seconds": 60, "idle_timeout_seconds": 30, "ram_mib": 512}
    settings |= {"rootfs_gb": 2, "persistent": True, "egress": False}
    with Client(host, traceparent="00-1-1-01") as client:
        tool = podflare_code_interpreter(client=client, **settings)
        _run(agents, tool, {"code": "x = 1"})
        tool.close()
    creation = next(request for request in received if request["path"] == "/v1/sandboxes")
    assert creation["body"] == {"template": "default", **settings}
    assert creation["headers"]["traceparent"] == "00-1-1-01"
    assert received[-1]["method"] == "DELETE"


def test_close_under_both_names_and_a_call_after_it(agents: Any, open_sandboxes: Any) -> None:
    tool = podflare_code_interpreter()
    for close in (tool.close, tool.close_podflare_sandbox):
        _run(agents, tool, {"code": "x = 1"})
        assert len(open_sandboxes()) == 1
        close()
        assert open_sandboxes() == []


def test_a_copy_of_a_tool_shares_its_sandbox(agents: Any, open_sandboxes: Any) -> None:
    tool = podflare_code_interpreter()
    _run(agents, tool, {"code": "x = 1"})
    (output,) = _run(agents, copy.copy(tool), {"code": "print(x)"})
    assert "'stdout': '1'" in output["output"]
    copy.copy(tool).close()
    assert open_sandboxes() == []


def test_an_async_sandbox(agents: Any, podflare_async_sandbox: AsyncSandbox) -> None:
    (output,) = _run(agents, podflare_code_interpreter(podflare_async_sandbox), {"code": "print(6 * 7)"})
    assert "'stdout': '42'" in output["output"]


@SLOW
def test_limits_of_time_and_of_output(agents: Any, podflare_sandbox: Sandbox) -> None:
    tool = podflare_code_interpreter(podflare_sandbox, timeout=LIMIT, max_output=10)
    outputs = _run(agents, tool, {"code": "print('x' * 100)"}, {"code": SLEEPS})
    assert "90 characters cut" in outputs[0]["output"]
    assert "'exit_code': 124" in outputs[1]["output"]


@SLOW
@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_a_run_that_times_out_stops_the_code(
    agents: Any, podflare_sandbox: Sandbox, podflare_async_sandbox: AsyncSandbox, kind: str
) -> None:
    tool = podflare_code_interpreter(podflare_sandbox if kind == "blocking" else podflare_async_sandbox)

    async def stop_and_go_on() -> str:
        await _run_agent(agents, tool, {"code": "kept = 41"})
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(_run_agent(agents, tool, {"code": SLEEPS}), LIMIT)
        (output,) = await _run_agent(agents, tool, {"code": AFTERWARDS})
        return str(output["output"])

    assert STOPPED in asyncio.run(stop_and_go_on())


@SLOW
def test_the_frameworks_own_limit_of_a_tool_stops_the_code(agents: Any, podflare_sandbox: Sandbox) -> None:
    tool = podflare_code_interpreter(podflare_sandbox)
    if not hasattr(tool, "timeout_seconds"):
        pytest.skip("this version of openai-agents has no limit of time for a tool")
    _run(agents, tool, {"code": "kept = 41"})
    tool.timeout_seconds = LIMIT
    (told,) = _run(agents, tool, {"code": SLEEPS})
    assert "timed out" in told["output"]
    (output,) = _run(agents, tool, {"code": AFTERWARDS})
    assert STOPPED in output["output"]
