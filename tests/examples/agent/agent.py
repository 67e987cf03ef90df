"""An agent that works on data: a model plans and writes code, Podflare sandboxes run it.

    answer = Agent(model).solve("What was the best day?", {"/data/sales.csv": b"day,sales\n..."})

Each piece of code runs in a fork of the agent's sandbox. What fails leaves nothing behind; what succeeds is merged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import httpx

from podflare import Sandbox

Result = TypeVar("Result")


class Model(Protocol):
    """What a language model is asked."""

    def plan(self, task: str) -> list[str]:
        """Goals to reach, one after the other."""

    def write(self, goal: str, failure: str | None) -> list[str]:
        """Code that may reach a goal; several pieces are alternatives. `failure`: how the last ones have ended."""

    def choose(self, goal: str, outputs: list[str]) -> int:
        """Which of several alternatives is the best, by what they have printed."""


class OutOfBudget(Exception):
    """The model was asked for code as often as it may be. The message tells the goal and the last failure."""


class Outcome(NamedTuple):
    ok: bool
    text: str  # what was printed, or why it failed


@dataclass
class Agent:
    model: Model
    budget: int = 10  # how often the model is asked for code
    attempts: int = 4  # how often a call is made that the service refuses for now
    sleep: Callable[[float], object] = time.sleep

    def solve(self, task: str, data: Mapping[str, bytes] | None = None) -> str:
        """What the code for the last goal prints. `data`: files of the sandbox, by path."""
        with self._patiently(Sandbox) as sandbox:
            for path, content in (data or {}).items():
                self._patiently(sandbox.upload, content, path)
            return self.solve_in(sandbox, task)

    def solve_in(self, sandbox: Sandbox, task: str) -> str:
        """The same in a sandbox that is there already, with whatever is in it."""
        goals = list(self.model.plan(task)) or [task]
        failure = None
        for _ in range(self.budget):
            outcome = self._try(sandbox, goals[0], self.model.write(goals[0], failure))
            failure = None if outcome.ok else outcome.text
            if outcome.ok:
                goals.pop(0)
            if not goals:
                return outcome.text
        raise OutOfBudget(f"{goals[0]}: {failure}")

    def _try(self, sandbox: Sandbox, goal: str, programs: list[str]) -> Outcome:
        """Runs them at the same time, each in a fork, and merges the best."""
        children = self._patiently(sandbox.fork, len(programs))
        try:
            with ThreadPoolExecutor(len(programs)) as pool:
                outcomes = list(pool.map(self._run, children, programs))
            good = [number for number, outcome in enumerate(outcomes) if outcome.ok]
            if not good:
                return Outcome(False, "\n".join(outcome.text for outcome in outcomes))
            best = good[0]
            if len(good) > 1:
                best = good[self.model.choose(goal, [outcomes[number].text for number in good])]
            self._patiently(sandbox.merge_into, children[best])
            return outcomes[best]
        finally:
            for child in children:
                child.close()

    def _run(self, child: Sandbox, program: str) -> Outcome:
        try:
            result = self._patiently(child.run_code, program)
        except httpx.TransportError as error:  # Was it done, or not? The fork goes, so it does not matter.
            return Outcome(False, f"the connection was lost: {error}")
        if result.exit_code == 0:
            return Outcome(True, result.stdout)
        return Outcome(False, f"{result.stderr}\nexit code {result.exit_code}".strip())

    def _patiently(self, call: Callable[..., Result], *arguments: object) -> Result:
        """Makes a call again that is refused with 429 or 5xx: when the service says, or each time twice as late."""
        for attempt in range(self.attempts - 1):
            try:
                return call(*arguments)
            except httpx.HTTPStatusError as refusal:
                status, headers = refusal.response.status_code, refusal.response.headers
                if status != 429 and status < 500:
                    raise
                told = headers.get("Retry-After", "")
                self.sleep(float(told) if told.isdigit() else 0.5 * 2**attempt)
        return call(*arguments)
