"""`AsyncSandbox` and `AsyncClient` do what their blocking twins do, in an event loop."""

import asyncio
import copy
import gc
import inspect
import pickle
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from podflare import (
    APIConnectionError,
    AsyncClient,
    AsyncSandbox,
    ClientClosedError,
    ExecResult,
    NotFoundError,
    PodflareError,
    SandboxClosedError,
    ThreadsLeftBehindWarning,
    TransferError,
)

from ..matrix import SLOW

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


def _calls(received: list[dict[str, Any]]) -> list[str]:
    return [f"{request['method']} {request['path'].rpartition('/')[2]}" for request in received]


async def test_a_block_creates_and_destroys(host: str, received: list[dict[str, Any]]) -> None:
    async with AsyncSandbox(host=host) as sandbox:
        assert sandbox.id.startswith("sbx_")
        assert (await sandbox.run_code("print(6 * 7)")).stdout == "42"
    assert _calls(received) == ["POST sandboxes", "POST exec", f"DELETE {sandbox.id}"]


async def test_await_creates(host: str, received: list[dict[str, Any]]) -> None:
    sandbox = await AsyncSandbox(host=host)
    assert await sandbox is sandbox, "and only once"
    await sandbox.close()
    await sandbox.close()
    assert _calls(received) == ["POST sandboxes", f"DELETE {sandbox.id}"]


async def test_one_that_is_not_created_says_what_to_write(host: str, received: list[dict[str, Any]]) -> None:
    sandbox = AsyncSandbox(host=host)
    with pytest.raises(SandboxClosedError, match="await AsyncSandbox"):
        await sandbox.run_code("")
    await sandbox.close()
    with pytest.raises(SandboxClosedError, match="closed before it was created"):
        await sandbox
    assert received == []


async def test_a_refused_create_closes_the_client(host: str, instead: dict[str, Any]) -> None:
    instead["create"] = (500, {}, [b'{"error": "pool exhausted"}'])
    sandbox = AsyncSandbox(host=host)
    with pytest.raises(PodflareError, match="pool exhausted"):
        await sandbox
    assert sandbox._shared_client.client._http.is_closed


async def test_a_stream(host: str) -> None:
    async with AsyncSandbox(host=host) as sandbox:
        seen = [event async for event in sandbox.run_code_stream("for i in range(2): print(i)")]
    assert [(event.type, event.data) for event in seen] == [("stdout", "0"), ("stdout", "1"), ("exit", 0)]


@SLOW
async def test_files(host: str, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"local")
    async with AsyncSandbox(host=host) as sandbox:
        big = bytes(range(256)) * 20_000
        await sandbox.upload(big, "big")
        assert await sandbox.download("big") == big
        await sandbox.upload(local_path=str(tmp_path / "local"), remote_path="copy")
        assert await sandbox.download("copy") == b"local"
        with pytest.raises(FileNotFoundError) as caught:
            await sandbox.download("nothing")
        assert isinstance(caught.value, TransferError)
        async with AsyncSandbox(host=host) as other:
            await other.upload(b"new", "new")
            difference = await sandbox.diff(other, paths=["."])
    assert difference == {"added": ["./new"], "removed": ["./big", "./copy"], "modified": []}


async def test_a_diff_that_fails_raises_its_own_error(host: str) -> None:
    async with AsyncSandbox(host=host) as sandbox:
        other = await AsyncSandbox(host=host)
        await other.close()
        with pytest.raises(SandboxClosedError, match=f"{other.id} is closed"):
            await sandbox.diff(other)


async def test_fork_merge_and_replay(host: str, instead: dict[str, Any]) -> None:
    async with AsyncSandbox(host=host) as parent:
        children = await parent.fork(2)
        await children[0].run_code("x = 'won'")
        await parent.merge_into(children[0])
        assert (await parent.run_code("print(x)")).stdout == "won"
        with pytest.raises(SandboxClosedError, match="was merged into"):
            await children[0].run_code("")
        await children[1].close()
        instead["replay"] = (200, {}, [b'{"type":"stdout","data":"x","seq":0,"ts":5}\n'])
        assert [event.data for event in await parent.replay()] == ["x"]


async def test_a_warning_points_at_the_caller(host: str, instead: dict[str, Any]) -> None:
    async with AsyncSandbox(host=host) as sandbox:
        instead["fork"] = (200, {"podflare-threads-left-behind": "2"}, [b'{"children": []}'])
        with pytest.warns(ThreadsLeftBehindWarning) as caught:
            await sandbox.fork()
    assert caught[0].filename == __file__


async def test_errors(host: str) -> None:
    async with AsyncSandbox.connect("sbx_none", host=host) as sandbox:
        with pytest.raises(NotFoundError, match="sandbox not found") as caught:
            await sandbox.run_code("")
    assert isinstance(caught.value, httpx.HTTPStatusError)
    with pytest.raises(APIConnectionError, match="cannot connect"):
        await AsyncSandbox(host="http://127.0.0.1:9")


async def test_a_shared_client(host: str) -> None:
    async with AsyncClient(host) as client:
        async with AsyncSandbox(client=client) as first, AsyncSandbox(client=client) as second:
            assert (await first.run_code("print(1)")) == (await second.run_code("print(1)"))
        assert await client.create_sandbox()
    with pytest.raises(ClientClosedError):
        await client.create_sandbox()


async def test_copies_are_handles_that_do_not_own(host: str, received: list[dict[str, Any]]) -> None:
    async with AsyncSandbox(host=host) as sandbox:
        await sandbox.run_code("x = 1")
        for handle in (copy.copy(sandbox), copy.deepcopy(sandbox), pickle.loads(pickle.dumps(sandbox))):
            async with handle:
                assert (await handle.run_code("print(x)")).stdout == "1"
        assert "DELETE" not in " ".join(_calls(received))


async def test_tasks_share_a_sandbox(host: str) -> None:
    import anyio

    results: list[ExecResult] = []

    async def run(number: int) -> None:
        results.append(await sandbox.run_code(f"print({number})"))

    async with AsyncSandbox(host=host) as sandbox, anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(run, number)
    assert sorted(result.stdout for result in results) == list("01234")


async def test_a_cancelled_block_destroys_its_sandbox(host: str, received: list[dict[str, Any]]) -> None:
    import anyio

    with anyio.CancelScope() as scope:
        async with AsyncSandbox(host=host) as sandbox:
            scope.cancel()
            await anyio.sleep(0)
    assert scope.cancelled_caught
    assert _calls(received)[-1] == f"DELETE {sandbox.id}"


def test_a_stream_left_in_the_middle_breaks_off(host: str, instead: dict[str, Any]) -> None:
    lines = [b'{"type":"stdout","data":"more","seq":0,"ts":1}\n']

    def endless() -> Iterator[bytes]:
        while True:
            yield lines[0]

    async def leave() -> None:
        async with AsyncSandbox(host=host) as sandbox:
            instead["exec"] = (200, {}, endless())
            async for _ in sandbox.run_code_stream(""):
                break
            gc.collect()

    asyncio.run(leave())


def test_every_call_is_awaitable() -> None:
    calls: list[Callable[..., Awaitable[Any]]] = [
        AsyncSandbox.run_code,
        AsyncSandbox.fork,
        AsyncSandbox.close,
    ]
    assert all(inspect.iscoroutinefunction(call) for call in calls)
