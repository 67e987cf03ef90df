"""A finalizer may use a client in the middle of another call of it, in the same thread: nobody waits for himself."""

from __future__ import annotations

import gc
import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest

from podflare import Client, ExecTimeoutError, NotFoundError, Sandbox
from podflare.core import nested
from podflare.core.nested import PoolLock

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


def test_a_signal_that_raises_leaves_the_pool_to_nobody() -> None:
    lock = PoolLock()
    steps = 0

    def raising_at(step: int) -> Any:
        def trace(frame: FrameType, *_: object) -> Any:
            nonlocal steps
            if frame.f_code.co_filename != nested.__file__:
                return None
            steps += 1
            if steps == step:
                raise KeyboardInterrupt
            return trace

        return trace

    earlier = sys.gettrace()
    for step in itertools.count(1):
        steps = 0
        sys.settrace(raising_at(step))
        try:
            with lock:
                pass
        except KeyboardInterrupt:
            interrupted = True
        else:
            interrupted = False
        finally:
            sys.settrace(earlier)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(lock._lock.acquire, blocking=False).result()
            pool.submit(lock._lock.release).result()
        if not interrupted:
            break
    assert step > 2


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
