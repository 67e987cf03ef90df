"""Sandboxes as tools of a model, as the SDK's own client sees them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest

from podflare import Sandbox
from podflare_emulator import Emulator
from podflare_emulator.mcp import tools

from ..matrix import SLOW
from ..serving import serving

mcp = pytest.importorskip("mcp")

_NAMES = ["run_python", "run_bash", "fork", "diff", "merge_into", "upload", "download"]
_ALL = [*_NAMES, "create_sandbox", "destroy_sandbox"]
Call = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with serving(server="thread") as emulator:
        yield emulator


@pytest.fixture
def emulator(server: Emulator) -> Iterator[Emulator]:
    yield server
    server.reset()


def in_a_session(where: Any, work: Callable[[Call], Awaitable[None]], mode: str = "auto") -> None:
    async def run() -> None:
        async with mcp.Client(where, mode=mode) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == _ALL

            async def call(name: str, **arguments: Any) -> Any:
                result = await client.call_tool(name, arguments)
                return result.content[0].text if result.is_error else result.structured_content

            await work(call)

    asyncio.run(run())


async def every_tool(call: Call) -> None:
    first = await call("run_python", code="x = 1\nprint(x)\nprint(2)")
    assert (first["stdout"], first["stderr"], first["exit_code"]) == ("1\n2", "", 0)
    again = await call("run_python", code="print(x)")
    assert (again["stdout"], again["sandbox_id"]) == ("1", first["sandbox_id"])
    assert (await call("run_bash", code="echo no >&2; exit 3"))["exit_code"] == 3
    left, right = (await call("fork", n=2))["children"]
    assert await call("upload", path="/data/a b.txt", content="hellö", sandbox_id=left)
    assert await call("upload", path="/root/x.bin", content="AAH/", encoding="base64", sandbox_id=left)
    difference = await call("diff", other=left, paths=["/data", "/root"])
    assert difference == {"added": ["/data/a b.txt", "/root/x.bin"], "removed": [], "modified": []}
    assert (await call("merge_into", winner=left))["sandbox_id"] == first["sandbox_id"]
    assert base64.b64decode((await call("download", path="/root/x.bin"))["base64"]) == b"\0\1\xff"
    assert (await call("run_bash", code="cat '/data/a b.txt'"))["stdout"] == "hellö"
    assert (await call("run_python", code="print([name for name in dir() if 'podflare' in name])"))[
        "stdout"
    ] == "[]"
    other = (await call("create_sandbox", egress=True))["sandbox_id"]
    assert "NameError" in (await call("run_python", code="x", sandbox_id=other))["stderr"]
    for made in (other, right):
        await call("destroy_sandbox", sandbox_id=made)
    assert await call("run_python", code="1", sandbox_id=other) == "run_python: sandbox not found"


@SLOW
def test_every_tool_over_http(emulator: Emulator) -> None:
    in_a_session(f"{emulator.url}/mcp", every_tool)
    assert emulator.reset() == []  # the session's sandbox has ended with it


@SLOW
def test_every_tool_over_standard_input_and_output() -> None:
    command = mcp.StdioServerParameters(
        command=sys.executable, args=["-m", "podflare_emulator", "mcp"], env=dict(os.environ)
    )
    in_a_session(command, every_tool)


async def mistakes(call: Call) -> None:
    assert "<= 32" in await call("fork", n=33)
    assert "`cod`" in await call("run_python", cod="1")
    assert "no tool 'run_ruby'; there are run_python" in await call("run_ruby", code="1")
    assert "FileNotFoundError" in await call("download", path="/root/missing")
    assert "not base64" in await call("upload", path="/root/x", content="?", encoding="base64")
    assert "sandbox not found" in await call("diff", other="sbx_0")
    await call("run_python", code="open('/root/large', 'wb').truncate(6_000_001)")
    assert "6000001 bytes; a file has 6000000 at most" in await call("download", path="/root/large")
    assert "6000001 bytes; a file has 6000000 at most" in await call(
        "upload", path="/x/l", content="x" * 6_000_001
    )


def test_what_cannot_be_is_told_to_the_model(emulator: Emulator) -> None:
    in_a_session(f"{emulator.url}/mcp", mistakes, mode="legacy")


async def large_file(call: Call) -> None:
    data = os.urandom(4_500_000)
    text = base64.b64encode(data).decode()
    assert (await call("upload", path="/root/large", content=text, encoding="base64"))["size"] == len(data)
    assert (await call("download", path="/root/large"))["base64"] == text


@SLOW
def test_a_large_file_in_both_directions(emulator: Emulator) -> None:
    in_a_session(f"{emulator.url}/mcp", large_file)


def test_a_call_has_a_time_limit_and_its_code_is_stopped(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(call: Call) -> None:
        await call("run_python", code="import time")
        monkeypatch.setattr(tools, "LONGEST_CALL", 0.2)
        assert "stopped after 0.2 seconds, the limit" in await call("run_python", code="time.sleep(600)")
        monkeypatch.undo()
        assert (await call("run_python", code="print(1)"))["stdout"] == "1"

    in_a_session(f"{emulator.url}/mcp", slow)


def test_two_sessions_have_a_sandbox_each(emulator: Emulator) -> None:
    async def outer(call: Call) -> None:
        await call("run_python", code="x = 1")

        async def inner(call: Call) -> None:
            assert "NameError" in (await call("run_python", code="x"))["stderr"]

        await asyncio.to_thread(in_a_session, f"{emulator.url}/mcp", inner)
        assert (await call("run_python", code="print(x)"))["stdout"] == "1"

    in_a_session(f"{emulator.url}/mcp", outer)


def test_after_a_reset_a_session_takes_no_sandbox_of_another() -> None:
    with serving(seed=7) as emulator:

        async def reset_meanwhile(call: Call) -> None:
            first = await call("run_python", code="x = 1")
            emulator.reset()
            with Sandbox(host=emulator.url) as others:
                assert others.id == first["sandbox_id"], "the same seed, the same id"
                again = await call("run_python", code="print('x' in globals())")
                assert (again["stdout"], again["sandbox_id"] == others.id) == ("False", False)

        in_a_session(f"{emulator.url}/mcp", reset_meanwhile)


def rpc(emulator: Emulator, method: str, **params: Any) -> httpx.Response:
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    return httpx.post(f"{emulator.url}/mcp", json=body)


def test_a_call_without_a_session_names_its_sandbox(emulator: Emulator) -> None:
    listed = rpc(emulator, "tools/list").json()
    assert [tool["name"] for tool in listed["result"]["tools"]] == _ALL
    refused = rpc(emulator, "tools/call", name="run_python", arguments={"code": "1"}).json()["result"]
    assert refused["isError"]
    assert "create_sandbox makes a sandbox" in refused["content"][0]["text"]
    made = rpc(emulator, "tools/call", name="create_sandbox").json()["result"]["structuredContent"]
    arguments = {"code": "echo hi", **made}
    answer = rpc(emulator, "tools/call", name="run_bash", arguments=arguments).json()
    assert (answer["id"], answer["result"]["structuredContent"]["stdout"]) == (7, "hi")
    assert rpc(emulator, "tools/call", name=5).json()["error"]["code"] == -32602
    assert emulator.reset() == [made["sandbox_id"]]


def test_what_is_no_call_is_the_sdks_to_refuse(emulator: Emulator) -> None:
    for body in (b"[", b"[]", b"5", b'{"method": "tools/call"}'):
        answer = httpx.post(f"{emulator.url}/mcp", content=body, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500


@SLOW
def test_it_wants_a_key_where_there_are_keys() -> None:
    with serving("portable", api_keys=("pf_live_x",)) as emulator:
        assert rpc(emulator, "tools/list").status_code == 401


@SLOW
def test_where_the_sdk_is_missing_it_says_what_to_install() -> None:
    hidden = "import sys; sys.modules['mcp'] = None; "
    program = hidden + "from podflare_emulator.command.cli import main; sys.exit(main(['mcp']))"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert "pip install 'podflare-emulator[mcp]'" in run.stderr


@SLOW
def test_a_client_that_has_gone_is_the_end() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "podflare_emulator", "mcp", "--isolation", "portable"]
    with os.fdopen(write_end, "w") as nobody:
        run = subprocess.run(
            command,
            input=json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}) + "\n",
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (run.returncode, run.stderr) == (0, "")
