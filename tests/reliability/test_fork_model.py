"""Random sequences of everything that can be done to a family of sandboxes, against a model of what each must hold.

`--model-steps N` runs N steps on each fork engine and each isolation; by default a few.
"""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    multiple,
    rule,
    run_state_machine_as_test,
)

from podflare import Client, ReplayDiffersWarning, Sandbox

from ..matrix import LONG, backends, engines
from ..serving import serving

pytestmark = LONG

_AN_EXAMPLE = 40  # steps
_NAMES = st.sampled_from("abc")
_TEXTS = st.text("xyz ü", max_size=3)
_VALUES = st.integers(0, 99)
_MOST = 8  # sandboxes at once

_BEGIN = """
import json, os
names, log, numbers = {}, open('/root/log', 'a'), iter(range(10**9))
def state():
    files = {name: open('/root/' + name).read() for name in sorted(os.listdir('/root'))}
    print(json.dumps([names, files]))
"""


@dataclass
class Model:
    """What a sandbox must hold."""

    names: dict[str, int] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=lambda: {"log": ""})
    drawn: int = 0


@dataclass
class Pair:
    sandbox: Sandbox
    model: Model


class Family(RuleBasedStateMachine):
    client: Client
    steps = 0

    pairs = Bundle("pairs")

    def __init__(self) -> None:
        super().__init__()
        self.alive: list[Pair] = []

    def teardown(self) -> None:
        for pair in self.alive:
            pair.sandbox.close()

    def run(self, pair: Pair, code: str, exit_code: int = 0) -> str:
        result = pair.sandbox.run_code(code)
        assert result.exit_code == exit_code, result
        return result.stdout

    def bash(self, pair: Pair, code: str) -> None:
        assert pair.sandbox.run_code(code, "bash").exit_code == 0

    def step(self) -> None:
        type(self).steps += 1

    def adopt(self, sandbox: Sandbox, model: Model) -> Pair:
        pair = Pair(sandbox, model)
        self.alive.append(pair)
        return pair

    @rule(target=pairs)
    def create(self) -> object:
        self.step()
        if len(self.alive) >= _MOST:
            return multiple()
        pair = self.adopt(Sandbox(client=self.client), Model())
        self.run(pair, _BEGIN)
        return pair

    @rule(pair=pairs, name=_NAMES, value=_VALUES)
    def assign(self, pair: Pair, name: str, value: int) -> None:
        self.step()
        self.run(pair, f"names[{name!r}] = {value}")
        pair.model.names[name] = value

    @rule(pair=pairs, name=_NAMES, value=_VALUES)
    def assign_and_fail(self, pair: Pair, name: str, value: int) -> None:
        self.step()
        self.run(pair, f"names[{name!r}] = {value}\n1 / 0", exit_code=1)
        pair.model.names[name] = value

    @rule(pair=pairs)
    def draw(self, pair: Pair) -> None:
        self.step()
        assert self.run(pair, "print(next(numbers))") == str(pair.model.drawn)
        pair.model.drawn += 1

    @rule(pair=pairs, text=_TEXTS)
    def write_to_the_open_file(self, pair: Pair, text: str) -> None:
        self.step()
        self.run(pair, f"log.write({text!r}); log.flush()")
        pair.model.files["log"] += text

    @rule(pair=pairs, name=_NAMES, text=_TEXTS, by_bash=st.booleans())
    def write(self, pair: Pair, name: str, text: str, by_bash: bool) -> None:
        self.step()
        if by_bash:
            self.bash(pair, f"printf %s '{text}' > /root/{name}")
        else:
            self.run(pair, f"with open('/root/{name}', 'w') as file: file.write({text!r})")
        pair.model.files[name] = text

    @rule(pair=pairs, name=_NAMES, data=st.binary(max_size=3))
    def upload_and_download(self, pair: Pair, name: str, data: bytes) -> None:
        self.step()
        text = data.hex()
        pair.sandbox.upload(text.encode(), f"/root/{name}")
        assert pair.sandbox.download(f"/root/{name}") == text.encode()
        pair.model.files[name] = text

    @rule(pair=pairs, name=_NAMES, other=_NAMES)
    def rename(self, pair: Pair, name: str, other: str) -> None:
        self.step()
        if name in pair.model.files and name != other:
            self.bash(pair, f"mv /root/{name} /root/{other}")
            pair.model.files[other] = pair.model.files.pop(name)

    @rule(pair=pairs, name=_NAMES)
    def remove(self, pair: Pair, name: str) -> None:
        self.step()
        self.bash(pair, f"rm -f /root/{name}")
        pair.model.files.pop(name, None)

    @rule(pair=pairs)
    def read(self, pair: Pair) -> None:
        self.step()
        assert json.loads(self.run(pair, "state()")) == [pair.model.names, pair.model.files]

    @rule(target=pairs, pair=pairs, n=st.integers(1, 3))
    def fork(self, pair: Pair, n: int) -> object:
        self.step()
        if len(self.alive) + n > _MOST:
            return multiple()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReplayDiffersWarning)  # `state` prints what bash wrote later
            children = pair.sandbox.fork(n)
        return multiple(*(self.adopt(child, copy.deepcopy(pair.model)) for child in children))

    @rule(target=pairs, parent=consumes(pairs), winner=consumes(pairs))
    def merge(self, parent: Pair, winner: Pair) -> object:
        self.step()
        if parent is winner:
            return parent
        parent.sandbox.merge_into(winner.sandbox)
        parent.model = winner.model
        self.alive.remove(winner)
        return parent

    @rule(pair=consumes(pairs))
    def delete(self, pair: Pair) -> None:
        self.step()
        pair.sandbox.close()
        self.alive.remove(pair)


@pytest.fixture(params=engines())
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[*backends(), "layers"])
def client(request: pytest.FixtureRequest, engine: str) -> Iterator[Client]:
    """`layers`: namespace isolation, where forks share whatever there is."""
    if engine == "replay" and request.param == "layers":
        pytest.skip("a fork by replay shares no layers")
    layers = request.param == "layers"
    isolation, files = ("namespace", "layers") if layers else (request.param, "auto")
    with serving(isolation, fork=engine, fork_files=files) as emulator, Client(host=emulator.url) as client:
        yield client


def test_every_sandbox_holds_what_it_must(client: Client, request: pytest.FixtureRequest) -> None:
    machine = type("Family", (Family,), {"client": client, "steps": 0})
    wanted: int = request.config.getoption("--model-steps")
    while machine.steps < wanted:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=max(1, (wanted - machine.steps) // _AN_EXAMPLE),
                stateful_step_count=_AN_EXAMPLE,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
