"""uvicorn's server, which ends when it is told to."""

import asyncio
import contextlib

import uvicorn


class Server(uvicorn.Server):
    """uvicorn looks ten times a second whether it is to end: a long time at the end of each of many test runs."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()

    def end(self) -> None:
        self.should_exit = True
        self._told.set()

    async def main_loop(self) -> None:
        ticking = asyncio.ensure_future(super().main_loop())
        await self._told.wait()
        ticking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticking
