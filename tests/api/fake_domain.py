"""Sandboxes that run nothing: what they answer is scripted, what they were asked is recorded."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from podflare_emulator.api.app import build_app
from podflare_emulator.domain.events import Event
from podflare_emulator.domain.registry import SandboxOrder
from podflare_emulator.vocabulary.sandbox_errors import SandboxNotFound
from podflare_emulator.vocabulary.settings import Settings

SANDBOX_ID = "sbx_" + "0" * 32


def stdout(data: str, seq: int = 0) -> Event:
    return Event("stdout", data, seq, 1_700_000_000_000)


def exited(code: int = 0, seq: int = 0) -> Event:
    return Event("exit", code, seq, 1_700_000_000_000)


class FakeExecution:
    """Gives out batches as the test produces them, from whatever thread that runs in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._batches: asyncio.Queue[list[Event] | Exception] = asyncio.Queue()
        self.abandoned = threading.Event()

    def produce(self, *events: Event) -> None:
        self._loop.call_soon_threadsafe(self._batches.put_nowait, list(events))

    def fail(self, error: Exception) -> None:
        self._loop.call_soon_threadsafe(self._batches.put_nowait, error)

    async def next_events(self) -> list[Event]:
        batch = await self._batches.get()
        if isinstance(batch, Exception):
            raise batch
        return batch

    async def abandon(self) -> None:
        self.abandoned.set()


@dataclass
class FakeForked:
    children: "list[FakeSandbox]"
    threads_left_behind: int
    processes_left_behind: int
    replay_differences: tuple[int, ...]


class FakeSandbox:
    """By default its turn comes at once and its code ends at once with exit 0.

    Attributes:
        events: What an exec answers, in one batch; None leaves that to the test, through `execution`.
        busy: An exec waits for its turn for ever.
        failure: What an exec, a fork and a replay raise.
        executed: (code, language) of each exec whose turn has come.
        started: `execution` is there.
        waiting, gave_up: An exec waits for its turn; its wait was cancelled.
    """

    def __init__(self, sandbox_id: str = SANDBOX_ID) -> None:
        self.id = sandbox_id
        self.events: list[Event] | None = [exited()]
        self.busy = False
        self.failure: Exception | None = None
        self.threads_left_behind = 0
        self.processes_left_behind = 0
        self.replay_differences: tuple[int, ...] = ()
        self.executed: list[tuple[str, str]] = []
        self.forks: list[int] = []
        self.recent: list[Event] = []
        self.execution: FakeExecution | None = None
        self.started, self.waiting, self.gave_up = (threading.Event() for _ in range(3))

    async def exec(self, code: str, language: str, last_words: object = None) -> FakeExecution:
        if self.failure:
            raise self.failure
        if self.busy:
            self.waiting.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.gave_up.set()
        self.executed.append((code, language))
        self.execution = FakeExecution()
        if self.events is not None:
            self.execution.produce(*self.events)
        self.started.set()
        return self.execution

    async def fork(self, n: int) -> FakeForked:
        if self.failure:
            raise self.failure
        self.forks.append(n)
        return FakeForked(
            [FakeSandbox(f"sbx_{i:032x}") for i in range(n)],
            self.threads_left_behind,
            self.processes_left_behind,
            self.replay_differences,
        )

    def replay(self) -> list[Event]:
        return self.recent


class FakeRegistry:
    """Holds one sandbox, `sandbox`; records orders, ends and merges; raises `failure` if there is one."""

    def __init__(self) -> None:
        self.sandbox = FakeSandbox()
        self.failure: Exception | None = None
        self.orders: list[SandboxOrder] = []
        self.destroyed: list[str] = []
        self.merged: list[tuple[str, str]] = []

    async def create(self, order: SandboxOrder) -> FakeSandbox:
        if self.failure:
            raise self.failure
        self.orders.append(order)
        return self.sandbox

    def get(self, sandbox_id: str) -> FakeSandbox:
        if sandbox_id != self.sandbox.id:
            raise SandboxNotFound
        return self.sandbox

    async def destroy(self, sandbox_id: str) -> None:
        if self.failure:
            raise self.failure
        self.destroyed.append(sandbox_id)

    async def merge(self, parent_id: str, winner_id: str) -> None:
        if self.failure:
            raise self.failure
        self.merged.append((parent_id, winner_id))


def app_over(registry: FakeRegistry, settings: Settings | None = None) -> Any:
    return build_app(registry, settings or Settings())  # type: ignore[arg-type]


def ask(
    registry: FakeRegistry, method: str, path: str, settings: Settings | None = None, **request: Any
) -> httpx.Response:
    """Send one request to an app over `registry`, without a server, and return its answer."""

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(app_over(registry, settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7070") as client:
            return await client.request(method, path, **request)

    return asyncio.run(answer())


def error_of(response: httpx.Response) -> str:
    """The message of an error answer, whose body must be `{"error": "..."}` and nothing else."""
    body: dict[str, str] = response.json()
    assert list(body) == ["error"]
    return body["error"]


def lines_of(events: Sequence[Event]) -> list[dict[str, Any]]:
    """What `events` look like to a client that has parsed the lines of a stream."""
    return [{"type": e.type, "data": e.data, "seq": e.seq, "ts": e.ts} for e in events]
