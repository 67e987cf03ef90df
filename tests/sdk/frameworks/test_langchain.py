"""`PodflareTool` as LangChain calls it."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from podflare import NotFoundError, Sandbox

pytest.importorskip("langchain_core", reason="the package langchain-core is not installed")

from podflare.langchain import PodflareTool


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
    tool._holder.sandbox().close()


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
