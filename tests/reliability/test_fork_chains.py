"""Many forks, one of another and side by side, closed in any order: layers, mounts and descriptors go with them.

`--model-steps N`: N / 4 forks of each kind; by default a few.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from podflare import Client, Sandbox

from ..matrix import SLOW
from ..serving import serving
from .command import Command, eventually, nothing_is_left


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with serving("namespace", fork_files="layers", pool_size=0):
        pass
    command = Command(tmp_path, "--isolation", "namespace", "--fork-files", "layers")
    yield command
    command.clean_up()


class Keeper:
    """What the process holds that makes jails."""

    def __init__(self, command: Command) -> None:
        self._place = ""

        def found() -> bool:
            for process in command.inside():  # the first whose root has it: zygotes come after it
                self._place = f"/proc/{process.pid}"
                if os.path.isdir(f"{self._place}/root/state/jails"):
                    return True
            return False

        eventually(found)

    def held(self) -> tuple[int, int, int] | None:
        """How many layers and descriptors there are beside one for each jail, and how many mounts.

        None while it makes a jail, in which it is then.
        """
        try:
            names = os.listdir(f"{self._place}/root/state/jails")
        except FileNotFoundError:
            return None
        layers = sum(name.startswith("L") for name in names)
        jails = sum(name.endswith(".system") for name in names)  # each has one such directory
        with open(f"{self._place}/mountinfo", encoding="utf-8") as file:
            mounts = len(file.readlines())
        return layers - jails, len(os.listdir(f"{self._place}/fd")) - jails, mounts


def settled(keeper: Keeper) -> object:
    """What it holds when it has nothing more to do."""
    seen, since = keeper.held(), time.monotonic()

    def nothing_changes() -> bool:
        nonlocal seen, since
        if (now := keeper.held()) != seen or now is None:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > 1

    eventually(nothing_changes)
    return seen


def write(sandbox: Sandbox) -> None:
    code = "import os; n = len(os.listdir('/root')); open(f'/root/{n}', 'w').write(str(n)); print(n)"
    assert sandbox.run_code(code).exit_code == 0


@SLOW
def test_what_they_held_is_let_go_of(command: Command, request: pytest.FixtureRequest) -> None:
    count: int = request.config.getoption("--model-steps") // 4
    chance = random.Random(count)
    keeper = Keeper(command)
    with Client(host=command.url) as client:
        Sandbox(client=client).close()
        before = settled(keeper)
        chain = [Sandbox(client=client)]
        for _ in range(count):
            write(chain[-1])
            chain += chain[-1].fork(1)
        assert chain[-1].run_code("print(len(os.listdir('/root')))").stdout == str(count)
        chance.shuffle(chain)
        survivor, *others = chain
        for sandbox in others:
            sandbox.close()
        assert survivor.run_code("print(open('/root/0').read())").stdout in ("0", "")
        side_by_side = [survivor]
        for _ in range(count):
            write(survivor)
            side_by_side += survivor.fork(1)
        assert side_by_side[-1].run_code("print(open('/root/0').read())").stdout == "0"
        chance.shuffle(side_by_side)
        for sandbox in side_by_side:
            sandbox.close()
        eventually(lambda: keeper.held() == before)


@SLOW
def test_kill_9_leaves_no_layer(command: Command) -> None:
    with Client(host=command.url) as client:
        parent = Sandbox(client=client)
        write(parent)
        left, right = parent.fork(2)
        write(left)
        (deeper,) = left.fork(1)
        left.run_code("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        assert deeper.run_code("print(len(os.listdir('/root')))").stdout == "2"
        assert right.run_code("print(len(os.listdir('/root')))").stdout == "1"
        inside = command.inside()
        command.end(signal.SIGKILL)
        nothing_is_left(inside, command.temporary)
