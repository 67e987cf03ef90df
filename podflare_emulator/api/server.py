"""uvicorn's server, made to end at once when asked."""

import asyncio
import socket

# Not from the package: it has them from its command line, which a server's own process does not load.
from uvicorn import server
from uvicorn.config import Config

_TICK = 1  # seconds between updates of the `Date` header
_TURNS = 8  # of the loop, within which an idle connection has closed


class Server(server.Server):
    """uvicorn checks only ten times a second whether it should end and has ended, which adds up over many test runs.

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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        for listening in self.servers:
            listening.close()
        for connection in [*self.server_state.connections]:
            connection.shutdown()
        for _ in range(_TURNS):
            turn = loop.create_future()
            loop.call_soon(turn.set_result, None)
            await turn
        if self.server_state.connections or self.server_state.tasks:  # of calls in progress
            await super().shutdown(sockets)
            return
        for bound in sockets or []:
            bound.close()
        await self.lifespan.shutdown()
