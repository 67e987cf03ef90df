"""The code executor for AutoGen, with its own agent."""

import asyncio
from typing import Any

import pytest

from podflare import AsyncSandbox, NotFoundError, Sandbox

pytest.importorskip("autogen_core", reason="the package autogen-core is not installed")

from autogen_core import CancellationToken
from autogen_core.code_executor import CodeBlock, CodeExecutor, CodeResult

from podflare.integrations.autogen import PodflareCodeExecutor

from ...matrix import SLOW
from .stopping import AFTERWARDS, LIMIT, SLEEPS, STOPPED


async def _run(executor: CodeExecutor, *blocks: tuple[str, str]) -> CodeResult:
    return await executor.execute_code_blocks(
        [CodeBlock(code, of) for of, code in blocks], CancellationToken()
    )


def test_blocks_run_one_after_the_other_up_to_one_that_fails(podflare_async_sandbox: AsyncSandbox) -> None:
    executor = PodflareCodeExecutor(podflare_async_sandbox)
    blocks = [
        ("python", "x = 6; print(x)"),
        ("sh", "echo $((6 * 7))"),
        ("Python", "print(x); 1 / 0"),
        ("bash", "echo never"),
    ]
    result = asyncio.run(_run(executor, *blocks))
    assert result.exit_code == 1
    assert result.output.split("\n")[:3] == ["6", "42", "6"]
    assert result.output.endswith("ZeroDivisionError: division by zero")


def test_a_language_that_there_is_not(podflare_sandbox: Sandbox) -> None:
    executor = PodflareCodeExecutor(podflare_sandbox)
    with pytest.raises(ValueError, match="'ruby'"):
        asyncio.run(_run(executor, ("python", "x = 1"), ("ruby", "puts 1")))
    assert podflare_sandbox.run_code("print('x' in globals())").stdout == "False"


def test_its_own_sandbox_ends_with_it_and_a_restart_makes_a_fresh_one(open_sandboxes: Any) -> None:
    async def program() -> str:
        async with PodflareCodeExecutor(idle_timeout_seconds=60) as executor:
            await _run(executor, ("python", "x = 1"))
            assert len(open_sandboxes()) == 1
            await executor.restart()
            return (await _run(executor, ("python", "print('x' in globals())"))).output

    assert asyncio.run(program()) == "False"
    assert open_sandboxes() == []


@SLOW
def test_a_block_that_takes_too_long(podflare_sandbox: Sandbox) -> None:
    executor = PodflareCodeExecutor(podflare_sandbox, timeout=LIMIT)
    asyncio.run(_run(executor, ("python", "kept = 41")))
    with pytest.raises(asyncio.TimeoutError, match=rf"begun(.|\n)*within {LIMIT} seconds"):
        asyncio.run(_run(executor, ("python", f"print('begun'); {SLEEPS}")))
    assert asyncio.run(_run(executor, ("python", AFTERWARDS))).output == STOPPED


@SLOW
@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_a_token_that_is_cancelled_stops_the_code(
    podflare_sandbox: Sandbox, podflare_async_sandbox: AsyncSandbox, kind: str
) -> None:
    executor = PodflareCodeExecutor(podflare_sandbox if kind == "blocking" else podflare_async_sandbox)

    async def stop_and_go_on() -> str:
        await _run(executor, ("python", "kept = 41"))
        token = CancellationToken()
        asyncio.get_running_loop().call_later(LIMIT, token.cancel)
        with pytest.raises(asyncio.CancelledError):
            await executor.execute_code_blocks([CodeBlock(SLEEPS, "python")], token)
        return (await _run(executor, ("python", AFTERWARDS))).output

    assert asyncio.run(stop_and_go_on()) == STOPPED


@SLOW
def test_a_call_that_times_out_stops_the_code(podflare_sandbox: Sandbox) -> None:
    executor = PodflareCodeExecutor(podflare_sandbox)

    async def stop_and_go_on() -> str:
        await _run(executor, ("python", "kept = 41"))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(_run(executor, ("python", SLEEPS)), LIMIT)
        return (await _run(executor, ("python", AFTERWARDS))).output

    assert asyncio.run(stop_and_go_on()) == STOPPED


def test_a_sandbox_that_is_gone_is_an_error_for_the_program(
    sandbox: Sandbox, instead: dict[str, Any]
) -> None:
    instead["exec"] = (404, {}, [b'{"error": "sandbox not found"}'])
    with pytest.raises(NotFoundError):
        asyncio.run(_run(PodflareCodeExecutor(sandbox), ("python", "1")))


def test_written_down_and_made_again_as_a_component(open_sandboxes: Any) -> None:
    async def program() -> str:
        executor = PodflareCodeExecutor(api_key="pf_live_secret", timeout=9)
        await _run(executor, ("python", "x = 41"))
        written = executor.dump_component()
        assert "secret" not in written.model_dump_json()
        again = CodeExecutor.load_component(written)
        assert isinstance(again, PodflareCodeExecutor)
        output = (await _run(again, ("python", "print(x + 1)"))).output
        await again.stop()
        return output

    assert asyncio.run(program()) == "42"
    assert open_sandboxes() == []


def test_an_agent_runs_the_code_of_a_message(podflare_async_sandbox: AsyncSandbox) -> None:
    pytest.importorskip("autogen_agentchat", reason="the package autogen-agentchat is not installed")
    from autogen_agentchat.agents import ApprovalResponse, CodeExecutorAgent
    from autogen_agentchat.messages import TextMessage

    agent = CodeExecutorAgent(
        "executor",
        code_executor=PodflareCodeExecutor(podflare_async_sandbox),
        approval_func=lambda _: ApprovalResponse(approved=True, reason="it cannot leave the sandbox"),
    )
    asked = TextMessage(content="Run this:\n```python\nprint(6 * 7)\n```\n", source="assistant")
    response = asyncio.run(agent.on_messages([asked], CancellationToken()))
    assert "42" in response.chat_message.to_text()
