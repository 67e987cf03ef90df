import asyncio
from collections.abc import Callable

import pytest

from podflare import (
    AsyncSandbox,
    Client,
    Event,
    ExecTimeoutError,
    Language,
    PodflareError,
    Sandbox,
    StdoutEvent,
)
from podflare_emulator import Emulator, EmulatorError, Mount
from pytest_podflare import prepared_sandbox


def lines(events: list[Event]) -> list[str]:
    """A type checker knows that the data of an `exit` is an int, and that of the others a str."""
    return [event.data.upper() for event in events if event.type != "exit"]


def exit_code(event: Event) -> int:
    if event.type == "exit":
        return event.data
    return 0


def run(sandbox: Sandbox, code: str, language: Language = "python") -> str | None:
    try:
        return sandbox.run_code(code, language, timeout=10).stdout
    except ExecTimeoutError as error:
        return error.stdout


def answer_a_question(sandbox: Sandbox) -> bytes:
    seen: list[bytes] = []
    with sandbox.pty.create(cmd=["head", "-n", "1"], on_data=seen.append) as terminal:
        terminal.send_input("yes\r")
        terminal.wait(timeout=60)
    return b"".join(seen)


async def run_async(code: str) -> list[str]:
    async with AsyncSandbox() as sandbox:
        await sandbox.upload(b"data", "/root/data")
        async with await sandbox.pty.create(cmd="cat /root/data") as terminal:
            assert [piece.decode() async for piece in terminal] == ["data"]
        left, right = await sandbox.fork(2)
        await asyncio.gather(left.close(), right.close())
        return lines([event async for event in sandbox.run_code_stream(code)])


def status_of_nothing(client: Client) -> str:
    try:
        return Sandbox.connect("sbx_none", client=client).run_code("").stdout
    except PodflareError as error:
        return str(error)


@prepared_sandbox(scope="module")
def prepared(sandbox: Sandbox) -> None:
    sandbox.run_code("x = 1")


def test_prepared(prepared: Sandbox) -> None:
    assert prepared.run_code("print(x)").stdout == "1"


def test_an_emulator_of_ones_own() -> None:
    with pytest.raises(EmulatorError, match="host path must be absolute"):
        Emulator(isolation="auto", port=0, env={"A": "b"}, mounts=["./data:/data", Mount("data", "/data")])


def test_types(
    podflare_emulator: Emulator,
    podflare_sandbox: Sandbox,
    podflare_client: Client,
    podflare_sandboxes: Callable[..., Sandbox],
) -> None:
    events = list(podflare_sandbox.run_code_stream("print('a')\nraise SystemExit(3)"))
    assert lines(events) == ["A"]
    assert exit_code(events[-1]) == 3
    assert run(podflare_sandboxes(client=podflare_client), "echo b", "bash") == "b"
    assert answer_a_question(podflare_sandbox).endswith(b"yes\r\n")
    assert "sandbox not found" in status_of_nothing(podflare_client)
    assert lines([StdoutEvent("stdout", "c", 0, 0)]) == ["C"]
    assert asyncio.run(run_async("print(open('/root/data').read())")) == ["DATA"]
    assert [one.exit_code for one in podflare_emulator.execs(language="bash")] == [0]
