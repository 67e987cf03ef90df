import asyncio
from collections.abc import Callable

from podflare import AsyncSandbox, Client, Event, ExecTimeoutError, Language, Sandbox
from podflare_emulator import Emulator


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


async def run_async(code: str) -> list[str]:
    async with AsyncSandbox() as sandbox:
        await sandbox.upload(b"data", "/root/data")
        return lines([event async for event in sandbox.run_code_stream(code)])


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
    assert asyncio.run(run_async("print(open('/root/data').read())")) == ["DATA"]
    assert [one.exit_code for one in podflare_emulator.execs(language="bash")] == [0]
