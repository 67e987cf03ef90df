"""`AsyncSandbox.pty` does what its blocking twin does, in an event loop."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from podflare import AsyncPtyHandle, AsyncSandbox, NotFoundError, PtyError, PtyTimeoutError

pytestmark = pytest.mark.anyio

_PATIENCE = 60  # seconds, so that what hangs is a failure


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


async def until(terminal: AsyncPtyHandle, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        seen += await anext(terminal)
    return seen


async def test_iterate_type_and_wait(podflare_emulator: Any) -> None:
    async with AsyncSandbox() as sandbox:
        terminal = await sandbox.pty.create(cmd="read -p 'name? ' name; echo \"hello, $name\"; exit 3")
        await until(terminal, b"name? ")
        with pytest.raises(PtyTimeoutError):
            await terminal.wait(timeout=0.01)
        await terminal.send_input("Ada\r")
        assert b"".join([piece async for piece in terminal]) == b"Ada\r\nhello, Ada\r\n"
        assert await terminal.wait(_PATIENCE) == 3


async def test_callbacks_plain_and_coroutines(podflare_emulator: Any) -> None:
    heard: list[bytes] = []
    exits: list[int] = []

    async def on_data(data: bytes) -> None:
        await anyio.sleep(0)
        heard.append(data)

    async with AsyncSandbox() as sandbox:
        terminal = await sandbox.pty.create(cmd="echo a; exit 4", on_data=on_data, on_exit=exits.append)
        assert await terminal.wait(_PATIENCE) == 4
    assert (b"".join(heard), exits) == (b"a\r\n", [4])


async def test_attach_list_resize_kill_and_close(podflare_emulator: Any) -> None:
    async with AsyncSandbox() as sandbox:
        made = await sandbox.pty.create(cmd="trap 'stty size' WINCH; echo up; while :; do sleep 0.01; done")
        await until(made, b"up")
        await made.close()
        with pytest.raises(PtyError, match="was closed"):
            await made.wait(_PATIENCE)
        assert [one.pty_id for one in await sandbox.pty.list()] == [made.id]
        async with await sandbox.pty.attach(made.id) as attached:
            await attached.resize(132, 50)
            await until(attached, b"50 132")
            await attached.kill()
            assert await attached.wait(_PATIENCE) == 137
        with pytest.raises(NotFoundError):
            await sandbox.pty.attach("pty_none")


async def test_a_block_that_is_cancelled_kills_what_it_has_made(podflare_emulator: Any) -> None:
    async with AsyncSandbox() as sandbox:
        with anyio.CancelScope() as scope:
            async with await sandbox.pty.create(cmd="sleep 600") as terminal:
                scope.deadline = anyio.current_time() + 0.1
                await terminal.wait()
        async with await sandbox.pty.attach(terminal.id) as killed:
            assert await killed.wait(_PATIENCE) == 137


async def test_a_sandbox_that_is_closed_ends_its_terminals_and_their_connections(
    podflare_emulator: Any,
) -> None:
    exits: list[int] = []
    async with AsyncSandbox() as sandbox:
        await sandbox.pty.create(cmd="sleep 600", on_exit=exits.append)
        async with AsyncSandbox.connect(sandbox.id) as elsewhere:
            [listed] = await elsewhere.pty.list()
            left = await elsewhere.pty.attach(listed.pty_id, on_exit=exits.append)
        assert exits == []
        with pytest.raises(PtyError, match="was closed"):
            await left.wait(_PATIENCE)
    assert exits == [137]
    assert elsewhere._shared_client.client._http.is_closed
    assert sandbox._shared_client.client._http.is_closed
