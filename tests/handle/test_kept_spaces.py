"""With a state directory, a Space outlives its emulator: the next one runs its history again, and has its files."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from podflare import Client, NotFoundError, Sandbox
from podflare_emulator import Emulator, SettingsError

from .. import matrix
from ..serving import serving

Freeze = Callable[..., str]


@contextmanager
def emulating(state: Path, isolation: str = "portable", **settings: Any) -> Iterator[tuple[Emulator, Client]]:
    settings = {"clock": "manual", "state_dir": state, **settings}
    with serving(isolation, **settings) as emulator, Client(host=emulator.url) as client:
        yield emulator, client


def freeze(emulator: Emulator, client: Client, *code: str, **order: Any) -> str:
    """The Space of a sandbox in which this has been run."""
    sandbox = Sandbox(client=client, persistent=True, idle_timeout_seconds=60, **order)
    for one in code:
        assert sandbox.run_code(one).exit_code == 0
    sandbox.run_code("rm -f /root/gone; echo by bash > /root/made; mkdir -m 750 /kept", language="bash")
    sandbox.upload(b"uploaded", "/kept/file")
    emulator.clock.advance(60)
    space = emulator.webhooks[-1].space
    assert space
    return space


@matrix.SLOW
@pytest.mark.parametrize("isolation", matrix.backends())
@pytest.mark.parametrize("fork", matrix.engines())
def test_it_goes_on_in_another_emulator(tmp_path: Path, isolation: str, fork: Any) -> None:
    code = (
        "numbers = iter(range(9)); next(numbers)",
        "log = open('/root/log', 'w'); log.write('before ')",
        "open('/root/gone', 'w').close()",
        "import random; random.seed(7); random.random()",
        "import os; os.symlink('/root/made', '/root/link')",
    )
    with emulating(tmp_path, isolation, fork=fork) as (emulator, client):
        space = freeze(emulator, client, *code)
    with (
        emulating(tmp_path, isolation, fork=fork) as (emulator, client),
        Sandbox.resume(space, client=client) as sandbox,
    ):
        said = sandbox.run_code(
            """
            log.write('after'); log.close()
            print(next(numbers), open('/root/log').read(), os.path.exists('/root/gone'))
            print(open('/root/link').read().strip(), open('/kept/file').read(), oct(os.stat('/kept').st_mode))
            expected = random.Random(7); expected.random()
            print(random.random() == expected.random())
            """
        )
        assert said.stderr == ""
        assert said.stdout.split("\n") == ["1 before after False", "by bash uploaded 0o40750", "True"]
        if fork == "live":
            (child,) = sandbox.fork()
            assert child.run_code("print(next(numbers))").stdout == "2"
    assert [*tmp_path.iterdir()] == []
    with emulating(tmp_path, isolation) as (_, client), pytest.raises(NotFoundError, match="space not found"):
        Sandbox.resume(space, client=client)


@matrix.SLOW
def test_a_seed_gives_no_second_space_the_id_of_a_kept_one(tmp_path: Path) -> None:
    spaces = []
    for number in range(2):
        with emulating(tmp_path, seed=7) as (emulator, client):
            spaces.append(freeze(emulator, client, f"number = {number}"))
    with emulating(tmp_path, seed=7) as (_, client):
        for number, space in enumerate(spaces):
            with Sandbox.resume(space, client=client) as sandbox:
                assert sandbox.run_code("print(number)").stdout == str(number)


@matrix.SLOW
def test_one_that_is_resumed_deleted_or_reset_is_kept_no_longer(tmp_path: Path) -> None:
    with emulating(tmp_path) as (emulator, client):
        for end in ("resume", "delete", "reset"):
            space = freeze(emulator, client, "x = 1")
            assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".tar"}
            assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in tmp_path.iterdir())
            if end == "resume":
                Sandbox.resume(space, client=client).close()
            elif end == "delete":
                client.delete_space(space)
            else:
                emulator.reset()
            assert [*tmp_path.iterdir()] == []


@matrix.SLOW
def test_a_reset_leaves_what_other_emulators_have_left(tmp_path: Path) -> None:
    with emulating(tmp_path) as (emulator, client):
        space = freeze(emulator, client, "x = 1")
    with emulating(tmp_path) as (emulator, client):
        emulator.reset()
        with Sandbox.resume(space, client=client) as sandbox:
            assert sandbox.run_code("print(x)").stdout == "1"


@matrix.SLOW
def test_one_that_cannot_be_brought_back_is_still_there(tmp_path: Path) -> None:
    with emulating(tmp_path) as (emulator, client):
        space = freeze(emulator, client, "import os\nif os.path.exists('/flag'): os._exit(1)")
    with emulating(tmp_path) as (emulator, client):
        emulator.files["/flag"] = ""
        with pytest.raises(Exception, match="cannot be brought back"):
            Sandbox.resume(space, client=client)
        emulator.files.clear()
        Sandbox.resume(space, client=client).close()


@matrix.SLOW
@pytest.mark.parametrize("space", ["spc_" + "0" * 32, "..", "%2e%2e%2fx"])
def test_what_is_no_space_is_not_looked_for_elsewhere(tmp_path: Path, space: str) -> None:
    with emulating(tmp_path) as (_, client), pytest.raises(NotFoundError):
        Sandbox.resume(space, client=client)


def test_a_directory_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"state dir: .* cannot be made"):
        Emulator(state_dir=tmp_path / "file" / "below")
    with pytest.raises(SettingsError, match="state dir: expected a path"):
        Emulator(state_dir=7)  # type: ignore[arg-type]
