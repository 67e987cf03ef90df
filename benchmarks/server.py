"""The emulator that cases share: started for the first, clean for each, and replaced after a failure."""

from __future__ import annotations

from typing import Literal

from floor import SettingsWithFloor
from podflare import Client
from podflare_emulator import Emulator
from podflare_emulator.vocabulary.settings import Isolation


class Server:
    def __init__(self, isolation: Isolation, kind: Literal["thread", "process"]) -> None:
        self._settings = SettingsWithFloor(port=0, isolation=isolation)
        self.kind = kind
        self._emulator: Emulator | None = None

    @property
    def url(self) -> str:
        return self._running.url

    @property
    def client(self) -> Client:
        return self._client

    @property
    def isolation(self) -> str:
        """The backend in use."""
        return self._running.isolation

    @property
    def _running(self) -> Emulator:
        if self._emulator is None:
            raise RuntimeError("the server could not be started")
        return self._emulator

    def start(self) -> None:
        """Does nothing while it runs."""
        if self._emulator is None:
            emulator = Emulator(self._settings, server=self.kind)
            emulator.start()
            self._client = Client(host=emulator.url)
            self._emulator = emulator

    def expect_forks(self, sandbox_id: str) -> None:
        """As `prepared_sandbox` does."""
        self._running.expect_forks(sandbox_id)

    def clean(self) -> None:
        """Destroys every sandbox that a case has left."""
        if self._emulator:
            self._emulator.reset()

    def stop(self) -> None:
        emulator, self._emulator = self._emulator, None
        if emulator:
            self._client.close()
            emulator.stop()
