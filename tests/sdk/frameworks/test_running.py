"""The core that the adapters share, with the emulator."""

import asyncio
import copy
import gc
import inspect
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from podflare import AsyncClient, AsyncSandbox, Client, InvalidArgumentError, NotFoundError, Sandbox
from podflare.gemini import run_function_call
from podflare.integrations.anthropic import handle_code_execution_tool_use
from podflare.integrations.results import cut
from podflare.integrations.running import CodeRunner
from podflare.integrations.settings import SandboxSettings

from ...matrix import SLOW
from .stopping import AFTERWARDS, LIMIT, SLEEPS, STOPPED


def _runner(sandbox: Any = None, **arguments: Any) -> CodeRunner:
    return CodeRunner(sandbox, **{"settings": {}, **arguments})


def test_the_settings_are_the_arguments_of_a_sandbox() -> None:
    assert set(SandboxSettings.__annotations__) == set(inspect.signature(Sandbox).parameters)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"settings": {"hots": "x"}}, "no argument 'hots'"),
        ({"sandbox": "sbx_1", "settings": {"template": "x"}}, "template"),
        ({"sandbox": "sbx_1", "persistent": False}, "give either"),
        ({"max_output": 0}, "max_output"),
        ({"max_output": "5"}, "max_output"),
        ({"sandbox": 5}, "sandbox must be"),
        ({"timeout": -1}, "timeout"),
    ],
)
def test_what_cannot_be_is_said_at_once(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises((TypeError, InvalidArgumentError), match=told):
        _runner(**arguments)


def test_a_sandbox_and_settings_of_one_do_not_go_together(podflare_sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentError, match="either a sandbox, or template"):
        _runner(podflare_sandbox, settings={"template": "default"})


def test_long_output_is_cut_in_the_middle_with_a_note(podflare_sandbox: Sandbox) -> None:
    result = _runner(podflare_sandbox, max_output=20).run("print('a' * 50 + 'z' * 50)")
    note = "[80 characters cut here: print less, or write to a file and read parts of it]"
    assert result.stdout == f"{'a' * 10}\n{note}\n{'z' * 10}"
    whole = _runner(podflare_sandbox, max_output=None).run("print('a' * 30000)").stdout
    assert len(whole) == 30000
    assert len(_runner(podflare_sandbox).run("print('a' * 30000)").stdout) < 20100


@pytest.mark.parametrize("limit", [1, 2, 3, 9])
def test_as_many_characters_are_kept_as_are_allowed(limit: int) -> None:
    head, _, tail = cut("0123456789", limit).split("\n")
    assert len(head + tail) == limit
    assert "0123456789".startswith(head)
    assert "0123456789".endswith(tail)
    assert cut("0123456789", 10) == "0123456789"


@SLOW
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_code_that_takes_too_long_is_told_to_the_model(podflare_sandbox: Sandbox, kind: str) -> None:
    runner = _runner(podflare_sandbox, timeout=LIMIT)
    runner.run("kept = 41")
    code = f"print('begun'); {SLEEPS}"
    result = runner.run(code) if kind == "sync" else asyncio.run(runner.run_async(code))
    assert (result.stdout, result.exit_code) == ("begun", 124)
    assert f"did not finish within {LIMIT} seconds" in result.stderr
    assert runner.run(AFTERWARDS).stdout == STOPPED


@SLOW
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelling_stops_the_code(podflare_sandbox: Sandbox, backend: str) -> None:
    pytest.importorskip(backend, reason=f"the package {backend} is not installed")
    runner = _runner(podflare_sandbox)

    async def stop_and_go_on() -> str:
        await runner.run_async("kept = 41")
        with anyio.move_on_after(LIMIT) as scope:
            await runner.run_async(SLEEPS)
        assert scope.cancelled_caught
        return (await runner.run_async(AFTERWARDS)).stdout

    assert anyio.run(stop_and_go_on, backend=backend) == STOPPED


def test_more_calls_run_at_once_than_a_loop_has_threads(sandbox: Sandbox, instead: dict[str, Any]) -> None:
    at_once = 50
    all_are_here = threading.Barrier(at_once)

    def lines() -> Iterator[bytes]:
        all_are_here.wait(60)
        yield b'{"type":"exit","data":0,"seq":0,"ts":1}\n'

    class Lines:
        __iter__ = staticmethod(lines)

    instead["exec"] = (200, {}, Lines())

    async def all_of_them() -> list[int]:
        results = await asyncio.gather(*(_runner(sandbox).run_async("1") for _ in range(at_once)))
        return [result.exit_code for result in results]

    assert asyncio.run(all_of_them()) == [0] * at_once


def test_an_async_sandbox_serves_async_callers(
    podflare_sandbox: Sandbox, podflare_async_client: AsyncClient
) -> None:
    runner = _runner(AsyncSandbox.connect(podflare_sandbox.id, client=podflare_async_client))
    podflare_sandbox.run_code("x = 5")
    assert asyncio.run(runner.run_async("print(x)")).stdout == "5"
    with pytest.raises(InvalidArgumentError, match="AsyncSandbox"):
        runner.run("print(x)")


def test_one_of_its_own_is_made_when_it_is_needed_and_ends_when_nothing_refers_to_it(
    open_sandboxes: Callable[[], list[str]],
) -> None:
    runner = _runner()
    assert open_sandboxes() == []
    runner.run("x = 1")
    assert runner.run("print(x)").stdout == "1"
    del runner
    gc.collect()
    assert open_sandboxes() == []


def test_after_close_a_call_makes_another(open_sandboxes: Callable[[], list[str]]) -> None:
    with _runner() as runner:
        runner.run("x = 1")
        asyncio.run(runner.close_async())
        assert open_sandboxes() == []
        result = runner.run("print('x' in globals())")
        assert (result.stdout, result.stderr) == ("False", "")
    assert open_sandboxes() == []


def test_close_stops_what_runs(podflare_emulator: Any, podflare_sandbox: Sandbox) -> None:
    runner = _runner(podflare_sandbox)
    runner.run("kept = 41")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(runner.run, SLEEPS)
        while podflare_emulator.execs()[-1].code != SLEEPS:
            time.sleep(0.01)
        runner.close()
        assert "interrupted" in running.result().stderr
    assert runner.run("print(kept, 'finished' in globals())").stdout == "41 False"


def test_if_the_server_has_ended_it_another_is_made_and_that_is_said(
    open_sandboxes: Callable[[], list[str]],
) -> None:
    with _runner() as runner:
        runner.run("x = 1")
        Sandbox.connect(runner.own_id or "").close()
        result = runner.run("print('x' in globals())")
        assert result.stdout == "False"
        assert "this is a new one" in result.stderr


def test_if_the_server_has_ended_the_callers_that_is_an_error(podflare_sandbox: Sandbox) -> None:
    Sandbox.connect(podflare_sandbox.id).close()
    for given in (podflare_sandbox, podflare_sandbox.id):
        with pytest.raises(NotFoundError):
            _runner(given).run("1")


def test_without_persistence_each_call_has_its_own(open_sandboxes: Callable[[], list[str]]) -> None:
    runner = _runner(persistent=False)
    for _ in range(2):
        assert runner.run("print('x' in globals()); x = 1").stdout == "False"
    assert open_sandboxes() == []


def test_copies_share_the_sandbox(open_sandboxes: Callable[[], list[str]]) -> None:
    with _runner() as runner:
        twin = copy.deepcopy(runner)
        twin.run("x = 7")
        assert copy.copy(runner).run("print(x)").stdout == "7"


def test_a_pickle_leads_to_the_same_sandbox_and_holds_no_key(open_sandboxes: Callable[[], list[str]]) -> None:
    runner = _runner(timeout=60, settings={"api_key": "pf_live_secret"})
    before = pickle.dumps(runner)
    runner.run("x = 7")
    written = pickle.dumps(runner)
    assert b"secret" not in before + written
    del runner
    gc.collect()
    with pickle.loads(written) as restored:
        assert restored.run("print(x)").stdout == "7"
    assert open_sandboxes() == []
    with pickle.loads(before) as fresh:
        assert fresh.run("print('x' in globals())").stdout == "False"


def test_a_pickle_of_one_with_a_given_sandbox_or_client(podflare_sandbox: Sandbox) -> None:
    podflare_sandbox.run_code("x = 7")
    restored = pickle.loads(pickle.dumps(_runner(podflare_sandbox)))
    assert restored.run("print(x)").stdout == "7"
    host = podflare_sandbox._shared_client.client.host
    with Client(host) as client:
        written = pickle.dumps(_runner(settings={"client": client, "idle_timeout_seconds": 60}))
    with pickle.loads(written) as other:
        assert other.run("print(1)").stdout == "1"


def test_code_that_is_no_text_is_told_to_the_model(podflare_sandbox: Sandbox) -> None:
    runner = CodeRunner(podflare_sandbox, settings={})
    for result in (runner.run("print('\ud83d')"), asyncio.run(runner.run_async("print('\ud83d')"))):
        assert result.exit_code == 1
        assert "cannot be encoded" in result.stderr
    assert runner.run("print(1)").stdout == "1"


@pytest.mark.parametrize("call", [handle_code_execution_tool_use, run_function_call])
def test_a_single_call_needs_a_sandbox(call: Any) -> None:
    asked = {"id": "1", "name": "run_code", "input": {"code": ""}, "args": {"code": ""}}
    with pytest.raises(InvalidArgumentError, match="sandbox must be a Sandbox, not None"):
        call(asked, None)
