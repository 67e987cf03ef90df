"""Many clients at once, each with its own mixture; afterwards there is nothing more than before."""

import random
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped, unused-ignore]
import pytest

from podflare import Client, Sandbox
from podflare_emulator import Emulator

from ..matrix import LONG
from .command import Command, directories, eventually, nothing_is_left
from .conftest import Start

pytestmark = LONG


CLIENTS = 50
FEW = 10  # what fills the stocks as well


def life(client: Client, seed: int) -> None:
    """One client's mixture of every call, each with what must come of it."""
    choice = random.Random(seed)
    with Sandbox(client=client) as parent:
        assert parent.run_code(f"path = [{seed}]; open('/root/seed', 'w').write('{seed}')").ok
        for step in range(2):
            children = parent.fork(choice.randint(1, 3))
            for number, child in enumerate(children):
                assert child.run_code(f"path.append(({step}, {number}))").ok
            if choice.random() < 0.3:
                children[0].run_code("import os; os._exit(1)")
                children.pop(0).close()
            if choice.random() < 0.3:
                interrupted = parent.run_code_stream("print('running')\nwhile True: pass")
                next(interrupted)
                interrupted.close()
            if children and choice.random() < 0.7:
                parent.merge_into(choice.choice(children))
            for child in children:
                child.close()
        assert parent.run_code("setsid sleep 1000 & cat /root/seed", "bash").stdout == str(seed)
        assert parent.run_code("print(path[0])").stdout == str(seed)


def storm(url: str, clients: int) -> None:
    with Client(host=url, timeout=120) as client, ThreadPoolExecutor(clients) as threads:
        list(threads.map(lambda seed: life(client, seed), range(clients)))


def mounts() -> list[str]:
    return sorted(Path("/proc/self/mountinfo").read_text().splitlines())


def test_a_storm_leaves_no_more_than_a_small_one_before_it(start: Start) -> None:
    mounts_before = mounts()
    command = start()
    storm(command.url, FEW)
    before = at_rest(command)
    storm(command.url, CLIENTS)
    eventually(lambda: usage(command) == before)
    inside = command.inside()
    assert command.end() == 0
    nothing_is_left(inside, command.temporary)
    assert mounts() == mounts_before


def usage(command: Command) -> tuple[int, int]:
    """Processes and descriptors."""
    return len(command.inside()), command.open_files()


def at_rest(command: Command) -> tuple[int, int]:
    """What it uses when the stocks that it keeps for the next sandboxes have been filled again."""
    found, since = usage(command), time.monotonic()
    while time.monotonic() - since < 2:
        time.sleep(0.05)
        if (now := usage(command)) != found:
            found, since = now, time.monotonic()
    return found


def test_everybody_at_the_same_few_sandboxes_gets_an_answer_of_the_contract(start: Start) -> None:
    command = start()
    calls = ("exec", "exec", "bash", "fork", "merge", "delete", "replay", "create")
    ids: list[str] = []
    seen: set[tuple[str, int, str]] = set()

    def one(seed: int) -> None:
        choice = random.Random(seed)
        with httpx.Client(base_url=f"{command.url}/v1/sandboxes", timeout=120) as http:
            for _ in range(12):
                call = choice.choice(calls) if len(ids) > 5 else "create"
                target, other = (choice.choice(ids), choice.choice(ids)) if ids else ("", "")
                if call == "create":
                    answer = http.post("", json={})
                    ids.append(answer.json()["id"])
                elif call in ("exec", "bash"):
                    language = "bash" if call == "bash" else "python"
                    answer = http.post(f"/{target}/exec", json={"code": "cd /", "language": language})
                elif call == "fork":
                    answer = http.post(f"/{target}/fork", json={"n": choice.randint(1, 3)})
                    ids.extend(answer.json().get("children", []))
                elif call == "merge":
                    answer = http.post(f"/{target}/merge_into/{other}")
                elif call == "delete":
                    answer = http.delete(f"/{target}")
                else:
                    answer = http.get(f"/{target}/replay")
                seen.add((call, answer.status_code, answer.text if answer.status_code >= 400 else ""))

    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(one, range(CLIENTS)))
    allowed = {
        "create": {200},
        "exec": {200, 400, 404},
        "bash": {200, 400, 404},
        "fork": {200, 404},
        "merge": {204, 400, 404},
        "delete": {204},
        "replay": {200, 404},
    }
    assert not [outcome for outcome in seen if outcome[1] not in allowed[outcome[0]]]
    with Sandbox(host=command.url) as sandbox:
        assert sandbox.run_code("print('serves')").stdout == "serves"
    inside = command.inside()
    assert command.end() == 0
    nothing_is_left(inside, command.temporary)


def test_an_emulator_in_this_process_leaves_it_as_it_was(
    isolation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    me = psutil.Process()
    before = me.num_fds(), threading.active_count(), me.children(), mounts()
    with Emulator(isolation=isolation) as emulator:
        storm(emulator.url, FEW)
    assert (me.num_fds(), threading.active_count(), me.children(), mounts()) == before
    assert directories(tmp_path) == []
