"""Calls of the emulator's own that race its end: each has an answer, or learns why there is none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from podflare_emulator import EmulatorError
from podflare_emulator.handle.server.thread import ServerThread
from podflare_emulator.vocabulary.settings import Settings

from ..matrix import SLOW


def test_a_call_that_comes_too_late_is_told_so() -> None:
    server = ServerThread(Settings(port=0, isolation="portable"))
    server.start()
    assert server.call("execs", {}) == []
    server.stop()
    with pytest.raises(EmulatorError, match="this emulator is not running"):
        server.call("execs", {})


@SLOW
def test_calls_of_many_threads_end_with_the_server() -> None:
    server = ServerThread(Settings(port=0, isolation="portable"))
    server.start()

    def ask_until_the_end() -> str:
        try:
            while True:
                server.call("execs", {})
        except EmulatorError as error:
            return str(error)

    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask_until_the_end) for _ in range(4)]
        server.stop()
        assert {asked.result().partition(";")[0] for asked in asking} == {"this emulator is not running"}
