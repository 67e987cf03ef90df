"""Spaces: a sandbox that is frozen stands still, and goes on under a new id, on every backend."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest

from podflare import Client, NotFoundError, Sandbox
from podflare_emulator import Emulator

from .. import matrix
from ..serving import serving

MINUTE = 60
Make = Callable[..., Sandbox]


@pytest.fixture(scope="module", params=matrix.backends())
def server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with serving(request.param, clock="manual") as emulator:
        yield emulator


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    with Client() as client:
        yield client


@pytest.fixture
def persistent(client: Client) -> Sandbox:
    return Sandbox(client=client, persistent=True, idle_timeout_seconds=MINUTE)


def frozen(emulator: Emulator) -> str:
    """The Space into which a sandbox goes when nothing is done for a minute."""
    emulator.clock.advance(MINUTE)
    last = emulator.webhooks[-1]
    assert (last.type, last.body["reason"]) == ("sandbox.frozen", "idle_timeout")
    assert last.space
    return last.space


def resume(emulator: Emulator, client: Client, space: str, **order: Any) -> Sandbox:
    answer = httpx.post(f"{emulator.url}/v1/spaces/{space}/resume", json=order)
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "ready"
    return Sandbox.connect(answer.json()["id"], client=client)


@matrix.SLOW
def test_names_handles_generators_threads_and_processes_survive(
    emulator: Emulator, client: Client, persistent: Sandbox
) -> None:
    persistent.run_code(
        """
        import itertools, subprocess, threading
        numbers = itertools.count(); next(numbers)
        file = open('/root/log', 'w'); file.write('before ')
        cat = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        woken = threading.Event(); answered = threading.Event()
        threading.Thread(target=lambda: (woken.wait(), answered.set()), daemon=True).start()
        """
    )
    resumed = resume(emulator, client, frozen(emulator))
    assert resumed.id != persistent.id
    said = resumed.run_code(
        """
        file.write('after'); file.close()
        woken.set(); answered.wait()
        print(next(numbers), open('/root/log').read(), cat.communicate(b'meow')[0])
        """
    )
    assert (said.stdout, said.stderr) == ("1 before after b'meow'", "")
    with pytest.raises(NotFoundError):
        persistent.run_code("print(1)")


def test_a_frozen_sandbox_and_its_processes_take_no_processor_time(
    emulator: Emulator, client: Client, persistent: Sandbox
) -> None:
    persistent.run_code(
        """
        import subprocess, threading
        def spin():
            while True: pass
        threading.Thread(target=spin, daemon=True).start()
        busy = subprocess.Popen(['bash', '-c', 'while :; do :; done', 'podflare-spins-for-ever'])
        """
    )
    (spinning,) = [one for one in psutil.process_iter() if "podflare-spins-for-ever" in _words(one)]
    assert spinning.status() == psutil.STATUS_RUNNING
    space = frozen(emulator)
    guest = psutil.Process(spinning.ppid())
    assert [spinning.status(), guest.status()] == [psutil.STATUS_STOPPED] * 2
    used = [one.cpu_times()[:2] for one in (spinning, guest)]
    with Sandbox(client=client) as another:
        another.run_code("sum(range(3_000_000))")
    assert [one.cpu_times()[:2] for one in (spinning, guest)] == used
    resumed = resume(emulator, client, space)
    assert resumed.run_code("print(busy.poll())").stdout == "None"
    assert spinning.status() != psutil.STATUS_STOPPED
    resumed.close()
    assert not _words(spinning)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_what_was_stopped_by_itself_stays_so(emulator: Emulator, client: Client, persistent: Sandbox) -> None:
    persistent.run_code(
        """
        import os, signal, subprocess
        child = subprocess.Popen(['sleep', '600'])
        child.send_signal(signal.SIGSTOP); os.waitpid(child.pid, os.WUNTRACED)
        """
    )
    resumed = resume(emulator, client, frozen(emulator))
    assert resumed.run_code("print(open(f'/proc/{child.pid}/stat').read().split()[2])").stdout == "T"


def test_a_space_is_there_once(emulator: Emulator, client: Client, persistent: Sandbox) -> None:
    space = frozen(emulator)
    resume(emulator, client, space)
    again = httpx.post(f"{emulator.url}/v1/spaces/{space}/resume", json={})
    assert (again.status_code, again.json()) == (404, {"error": "space not found"})
    assert httpx.delete(f"{emulator.url}/v1/spaces/{space}").status_code == 404


def test_what_is_resumed_freezes_again_only_if_it_is_persistent(
    emulator: Emulator, client: Client, persistent: Sandbox
) -> None:
    persistent.run_code("kept = 'from the beginning'")
    again = resume(emulator, client, frozen(emulator), persistent=True, idle_timeout_seconds=MINUTE)
    last = resume(emulator, client, frozen(emulator), idle_timeout_seconds=MINUTE)
    assert again.id != last.id
    assert last.run_code("print(kept)").stdout == "from the beginning"
    emulator.clock.advance(MINUTE)
    assert [one.type for one in emulator.webhooks[-2:]] == ["sandbox.resumed", "sandbox.destroyed"]


def test_a_deleted_space_is_gone_with_its_processes(
    emulator: Emulator, client: Client, persistent: Sandbox
) -> None:
    persistent.run_code("import subprocess; subprocess.Popen(['sleep', '612'])")
    space = frozen(emulator)
    assert httpx.delete(f"{emulator.url}/v1/spaces/{space}").status_code == 204
    assert not [one for one in psutil.process_iter() if _words(one) == ["sleep", "612"]]
    assert httpx.post(f"{emulator.url}/v1/spaces/{space}/resume", json={}).status_code == 404


@matrix.SLOW
def test_code_that_runs_when_it_is_frozen_goes_on_when_it_is_resumed(
    emulator: Emulator, client: Client
) -> None:
    sandbox = Sandbox(client=client, persistent=True, timeout_seconds=MINUTE)
    code = """
        import os
        os.mkfifo('/tmp/gate')
        os.system("(echo opened > /tmp/gate) &")
        print('begun', flush=True)
        total = sum(n % 7 for n in range(20_000_000))
        done = open('/tmp/gate').read().strip()
        print('unheard')
        """
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(sandbox.run_code, code)
        while not any(one.events for one in emulator.execs(code="begun")):
            pass
        emulator.clock.advance(MINUTE)
        assert (running.result().stdout, running.result().exit_code) == ("begun", 137)
    space = emulator.webhooks[-1].space
    assert space
    resumed = resume(emulator, client, space)
    assert resumed.run_code("print(done)").stdout == "opened"


def test_a_terminal_ends_for_who_watches_it_and_is_there_again(
    emulator: Emulator, client: Client, persistent: Sandbox
) -> None:
    terminals = f"{emulator.url}/v1/sandboxes/{persistent.id}/pty"
    with httpx.stream("POST", terminals, json={"argv": ["cat"], "cols": 80, "rows": 24}) as stream:
        lines = stream.iter_lines()
        session = json.loads(next(lines))["session_id"]
        space = frozen(emulator)
        assert json.loads([*lines][-1]) == {"type": "pty_exit", "data": 137}
    resumed = resume(emulator, client, space)
    terminal = f"{emulator.url}/v1/sandboxes/{resumed.id}/pty/{session}"
    assert httpx.post(f"{terminal}/input", json={"data_b64": "aGkK"}).status_code == 204
    answer = httpx.post(f"{terminal}/read", json={"since_seq": 0}).json()
    assert (answer["data_b64"][:4], answer["exit_code"]) == ("aGkN", None)


def test_a_fork_of_what_was_resumed_has_all_of_it(
    emulator: Emulator, client: Client, persistent: Sandbox
) -> None:
    persistent.run_code("n = 41")
    (child,) = resume(emulator, client, frozen(emulator)).fork()
    assert child.run_code("print(n + 1)").stdout == "42"


def test_a_dead_interpreter_is_not_kept(emulator: Emulator, client: Client, persistent: Sandbox) -> None:
    persistent.run_code("import os; os._exit(3)")
    emulator.clock.advance(MINUTE)
    assert emulator.webhooks[-1].type == "sandbox.destroyed"


def test_a_reset_ends_spaces(emulator: Emulator, persistent: Sandbox) -> None:
    persistent.run_code("import subprocess; subprocess.Popen(['sleep', '613'])")
    space = frozen(emulator)
    emulator.reset()
    assert not [one for one in psutil.process_iter() if _words(one) == ["sleep", "613"]]
    assert httpx.post(f"{emulator.url}/v1/spaces/{space}/resume", json={}).status_code == 404


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"timeout_seconds": 0}, "timeout_seconds: expected 1 or more, got 0"),
        ({"persistent": "yes"}, "persistent: expected bool"),
        ({"region": "mars"}, "region: expected us-west"),
        ({"egress": False}, "egress: the Space was frozen with egress"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_consumes_nothing(
    emulator: Emulator, client: Client, persistent: Sandbox, order: dict[str, Any], message: str
) -> None:
    space = frozen(emulator)
    answer = httpx.post(f"{emulator.url}/v1/spaces/{space}/resume", json=order)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    resume(emulator, client, space, egress=True)
