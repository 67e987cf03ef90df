"""uvicorn's server, made to end at once when asked."""

import asyncio

# Not from the package: it has them from its command line, which a server's own process does not load.
from uvicorn import server
from uvicorn.config import Config

_TICK = 1  # seconds between updates of the `Date` header


class Server(server.Server):
    """uvicorn checks only ten times a second whether it should end, which adds up over many test runs.

    It also sleeps by `asyncio.sleep`, which a test may have replaced by a function that returns at once.
    """

    def __init__(self, config: Config) -> None:
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
