"""A finalizer may use a client in the middle of another call of it, in the same thread: nobody waits for himself."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from podflare import Client, ExecTimeoutError, NotFoundError, Sandbox

from ..matrix import SLOW


def test_calls_while_this_thread_holds_the_pool(host: str) -> None:
    with Client(host) as client:
        sandbox = Sandbox(client=client)
        pool: Any = client._http._transport._pool  # type: ignore[attr-defined]
        with pool._optional_thread_lock:
            assert sandbox.run_code("print(6 * 7)").stdout == "42"
            with pytest.raises(NotFoundError):
                client.replay("sbx_none")
            sandbox.close()
        assert Sandbox(client=client).run_code("print(1)").stdout == "1"


def test_a_nested_exec_can_be_stopped(podflare_client: Client) -> None:
    sandbox = Sandbox(client=podflare_client)
    pool: Any = podflare_client._http._transport._pool  # type: ignore[attr-defined]
    with pool._optional_thread_lock, pytest.raises(ExecTimeoutError):
        sandbox.run_code("import time; time.sleep(600)", timeout=0.3)
    assert sandbox.run_code("print(1)").stdout == "1"
    sandbox.close()


@SLOW
def test_finalizers_of_sandboxes_that_share_a_client(host: str, instead: dict[str, Any]) -> None:
    class Tool:
        def __init__(self, client: Client) -> None:
            self.sandbox = Sandbox(client=client)
            self.me = self

        def __del__(self) -> None:
            self.sandbox.close()

    instead["create"] = (200, {}, [b'{"id": "sbx_1", "state": "ready"}'])
    instead["destroy"] = (204, {}, [])
    threshold = gc.get_threshold()
    gc.set_threshold(20)
    try:
        with Client(host) as client:
            for _ in range(300):
                Tool(client)
            gc.collect()
    finally:
        gc.set_threshold(*threshold)
