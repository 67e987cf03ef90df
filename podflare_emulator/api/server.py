"""uvicorn's server, which ends when it is told to."""

import asyncio

import uvicorn

_TICK = 1  # seconds between two answers with another `Date`


class Server(uvicorn.Server):
    """uvicorn looks ten times a second whether it is to end: a long time at the end of each of many test runs.

    And it sleeps meanwhile by `asyncio.sleep`, which a test may have replaced by what returns at once.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()

    def end(self) -> None:
        self.should_exit = True
        self._told.set()

    async def main_loop(self) -> None:
        loop = asyncio.get_running_loop()
        ticks: list[asyncio.Handle] = []
        running: set[asyncio.Task[bool]] = set()

        def tick() -> None:
            running.add(task := loop.create_task(self.on_tick(0)))
            task.add_done_callback(running.discard)
            ticks[:] = [loop.call_later(_TICK, tick)]

        tick()
        await self._told.wait()
        for next_tick in ticks:
            next_tick.cancel()
