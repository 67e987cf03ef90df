"""Ctrl-C while the emulator starts; and what is left when it has stopped."""

import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from podflare_emulator import Emulator
from podflare_emulator.handle.server import thread


def test_a_start_that_is_interrupted_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Future):  # type: ignore[type-arg]
        def result(self, timeout: float | None = None) -> None:
            raise KeyboardInterrupt

    def running() -> tuple[set[threading.Thread], set[Path]]:
        directories = Path(tempfile.gettempdir()).glob("podflare-emulator-*")
        return set(threading.enumerate()), set(directories)

    before = running()
    monkeypatch.setattr(thread, "Future", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        Emulator(isolation="portable", server="thread").start()
    assert running() == before


def test_no_thread_outlives_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(threading.Thread):
        def run(self) -> None:
            super().run()
            if self.name == "podflare-emulator-end":
                threading.Event().wait(0.5)  # its work is done, and it has not ended yet

    before = set(threading.enumerate())
    with Emulator(isolation="portable", server="thread"):
        monkeypatch.setattr(threading, "Thread", Late)
    assert set(threading.enumerate()) == before
