"""With a seed, every test sees the same ids, however it is run."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from podflare import Sandbox
from podflare_emulator import Emulator

from ..matrix import SLOW


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with Emulator(isolation="portable", seed=7) as emulator:
        yield emulator


@pytest.fixture
def emulator(server: Emulator) -> Iterator[Emulator]:
    server.reset()
    with server.redirect_clients():
        yield server
    server.reset()


def ids() -> list[str]:
    with Sandbox() as parent:
        children = parent.fork(2)
        found = [parent.id, *(child.id for child in children)]
        for child in children:
            child.close()
    return found


@SLOW
def test_a_reset_begins_the_ids_anew(emulator: Emulator) -> None:
    first = ids()
    assert len({*first, *ids()}) == 6
    emulator.reset()
    assert ids() == first
    assert all(re.fullmatch("sbx_[0-9a-f]{32}", one) for one in first)


@SLOW
def test_another_emulator_with_the_seed_draws_the_same_and_one_with_another_seed_does_not(
    emulator: Emulator,
) -> None:
    first = ids()
    for seed, same in ((7, True), (8, False), (None, False)):
        with Emulator(isolation="portable", seed=seed) as other, other.redirect_clients():
            assert (ids() == first) is same


def test_an_id_that_is_born_again_is_a_sandbox_like_any(emulator: Emulator) -> None:
    with Sandbox() as first:
        first.run_code("x = 1")
    emulator.reset()
    with Sandbox() as again:
        assert again.id == first.id
        assert again.run_code("print('x' in globals())").stdout == "False"
        (child,) = again.fork(1)
        again.merge_into(child)
        assert again.run_code("print(1)").stdout == "1"
        assert httpx.get(f"{emulator.url}/v1/sandboxes/{child.id}/replay").status_code == 404
        assert [one.parent for one in emulator.execs(sandbox=again)] == [None, None]
    url = f"{emulator.url}/v1/sandboxes/{again.id}"
    assert [httpx.get(f"{url}/replay").status_code, httpx.delete(url).status_code] == [404, 204]


def test_ids_of_sandboxes_that_are_kept_are_skipped(emulator: Emulator) -> None:
    with Sandbox() as kept, Sandbox() as other:
        emulator.reset(keep=[kept.id])
        with Sandbox() as new:
            assert new.id == other.id
            assert kept.run_code("print(1)").stdout == "1"


def test_what_is_made_to_last_does_not_change_a_tests_ids(emulator: Emulator) -> None:
    alone = ids()
    emulator.reset()
    with emulator.lasting_ids():
        lasting = Sandbox()
    assert ids() == alone
    emulator.reset(keep=[lasting.id])
    assert ids() == alone
    lasting.close()
