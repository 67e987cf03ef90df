"""Many clients that fork, merge and delete one family at once: every id has one whole state, or is gone."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from podflare_emulator import Emulator

from ..matrix import SLOW

_CLIENTS = 100
_CALLS = 5
_BIRTH = "who = {who!r}; _ = open('/root/who', 'w').write(who)"
_STATE = "print(who, open('/root/who').read())"


@pytest.fixture
def http(isolation: str) -> Iterator[httpx.Client]:
    limits = httpx.Limits(max_connections=None)
    with (
        Emulator(isolation=isolation) as emulator,
        httpx.Client(base_url=f"{emulator.url}/v1/sandboxes", timeout=120, limits=limits) as client,
    ):
        yield client


@SLOW
def test_every_id_is_alive_with_one_state_or_gone(http: httpx.Client) -> None:
    ids = [create(http)]
    lock = threading.Lock()

    def act(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(_CALLS):
            with lock:
                one, other = draw.choice(ids), draw.choice(ids)
                crowded = len(ids) > 60
            action = draw.choice(["fork", "merge", "merge", "delete", "exec"])
            if action == "fork" and not crowded:
                answer = http.post(f"/{one}/fork", json={"n": draw.randint(1, 3)})
                for child in answer.json().get("children", []):
                    born(http, child)
                    with lock:
                        ids.append(child)
                allowed = {200, 404}
            elif action == "merge":
                answer = http.post(f"/{one}/merge_into/{other}")
                allowed = {204, 404, 400} if one == other else {204, 404}
            elif action == "delete" and draw.random() < 0.3:
                answer = http.delete(f"/{one}")
                allowed = {204}
            else:
                answer = execute(http, one, "print(who)")
                allowed = {200, 404}
            assert answer.status_code in allowed, (action, answer.status_code, answer.text)

    with ThreadPoolExecutor(_CLIENTS) as threads:
        list(threads.map(act, range(_CLIENTS)))
    states = [state(http, each) for each in ids]
    alive = [found for found in states if found is not None]
    assert all(memory == file for memory, file in alive), states
    # A merge moves a state, it does not copy it: no two ids have the same.
    assert len({memory for memory, _ in alive}) == len(alive)
    for each in ids:
        assert http.delete(f"/{each}").status_code == 204


def create(http: httpx.Client) -> str:
    sandbox_id = str(http.post("", json={}).json()["id"])
    born(http, sandbox_id)
    return sandbox_id


def born(http: httpx.Client, sandbox_id: str) -> None:
    """It may be gone already."""
    assert execute(http, sandbox_id, _BIRTH.format(who=sandbox_id)).status_code in (200, 404)


def execute(http: httpx.Client, sandbox_id: str, code: str) -> httpx.Response:
    return http.post(f"/{sandbox_id}/exec", json={"code": code})


def state(http: httpx.Client, sandbox_id: str) -> tuple[str, str] | None:
    answer = execute(http, sandbox_id, _STATE)
    if answer.status_code == 404:
        return None
    assert answer.status_code == 200, answer.text
    memory, file = json.loads(answer.text.splitlines()[0])["data"].split()
    return memory, file
