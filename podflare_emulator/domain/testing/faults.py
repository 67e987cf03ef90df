"""Failures and delays that a test injects: into which calls, how often, and with what effect."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from typing import Any

from msgspec import Struct, field

from podflare_emulator.domain.testing.calls import Asked, Match, check_name, read_match
from podflare_emulator.domain.testing.timings import published
from podflare_emulator.vocabulary.arguments import is_seconds
from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest

_HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)


class Refusal(Struct, frozen=True):
    """The call is not made; this is its answer. `error` None: the service's message for that status."""

    status: int
    error: str | None
    headers: dict[str, str]


class Reset(Struct, frozen=True):
    """The connection is reset without an answer. `done`: only once the call was made; else it is not made."""

    done: bool


class Cut(Struct, frozen=True):
    """An exec's stream breaks off after that many events, if it has more; or it `ends`, as if these were all."""

    after: int
    ends: bool


class Death(Struct, frozen=True):
    """The interpreter is killed after that many lines of output, if the exec has them; 0: before its code runs."""

    after: int


class Delay(Struct, frozen=True):
    """The answer is delayed by a random number of seconds from `low` to `high`."""

    low: float
    high: float


Effect = Refusal | Reset | Cut | Death | Delay


class Fault(Struct):
    """`left`: how many more times it may happen, None for any number. `used`: how often it has happened."""

    match: Match
    effect: Effect
    left: int | None
    probability: float | None
    used: int = 0
    draws: random.Random = field(default_factory=random.Random)

    def meets(self, asked: Asked) -> bool:
        """Draws once for each call that matches, whether or not other faults match too."""
        if self.left == 0 or not self.match.meets(asked):
            return False
        return self.probability is None or self.draws.random() < self.probability


class Taken:
    """A fault that applies to one call. Some happen only if the call gets far enough."""

    def __init__(self, fault: Fault) -> None:
        self.effect = fault.effect
        self._fault = fault
        self._happened = False
        if fault.left is not None:
            fault.left -= 1

    def happens(self) -> None:
        self._happened = True
        self._fault.used += 1

    def settle(self) -> None:
        """The call is over. If the fault has not happened, another call can have it."""
        if not self._happened and self._fault.left is not None:
            self._fault.left += 1


class Faults:
    """Each call gets the newest fault that matches it, and also the newest delay.

    With a seed, the draws are the same after each `clear`: each fault has its own source, so that its draws do not
    depend on how often another fault draws.
    """

    def __init__(self, seed: int | None = None, profile: str = "local") -> None:
        self._seed = seed
        self._profile_at_start = profile
        self._numbers = itertools.count()  # never used twice, as with stubs
        self._faults: dict[int, Fault] = {}
        self._suspensions = 0
        self.forgotten = asyncio.Event()  # set by the next `clear`
        self.clear()

    def add(self, fault: Fault) -> int:
        """Returns its number."""
        number = next(self._numbers)
        fault.draws = self._source(len(self._faults))
        self._faults[number] = fault
        self._look()
        return number

    def use(self, profile: str) -> None:
        """Sets the latency profile until the next `clear`."""
        check_name("profile", profile, ("local", "hosted"))
        self._profile = profile
        self._look()

    def suspend(self) -> None:
        """No fault happens or counts until as many calls of `resume` have followed, or a `clear`."""
        self._suspensions += 1
        self._look()

    def resume(self) -> None:
        self._suspensions = max(0, self._suspensions - 1)
        self._look()

    def take(self, asked: Asked) -> Taken | None:
        """The fault that applies to this call."""
        met = [
            fault
            for fault in self._faults.values()
            if not isinstance(fault.effect, Delay) and fault.meets(asked)
        ]
        return Taken(met[-1]) if met else None

    def delay(self, asked: Asked) -> float:
        """The least number of seconds from the call's arrival to its answer."""
        for fault in reversed(self._faults.values()):
            if isinstance(fault.effect, Delay) and fault.meets(asked):
                Taken(fault).happens()
                return fault.draws.uniform(fault.effect.low, fault.effect.high)
        if self._profile == "hosted":
            return self._profile_draws.uniform(*published(asked))
        return 0.0

    def used(self) -> list[tuple[int, int]]:
        """The number of each fault, and how often it has happened."""
        return [(number, fault.used) for number, fault in self._faults.items()]

    def clear(self) -> None:
        """Removes all faults, and ends the delays under way."""
        self.forgotten.set()
        self.forgotten = asyncio.Event()
        self._faults.clear()
        self._suspensions = 0
        self._profile = self._profile_at_start
        self._profile_draws = self._source("profile")
        self._look()

    def _look(self) -> None:
        # All that a call has to check in an emulator without faults.
        self.arranged = not self._suspensions and (bool(self._faults) or self._profile != "local")

    def _source(self, name: object) -> random.Random:
        return random.Random(None if self._seed is None else f"{self._seed}:{name}")


def read_fault(
    call: Any,
    *,
    status: Any = None,
    error: Any = None,
    retry_after: Any = None,
    headers: Any = None,
    connection: Any = None,
    cut_after: Any = None,
    ends_after: Any = None,
    dies_after: Any = None,
    sandbox: Any = None,
    pattern: Any = None,
    flags: Any = 0,
    language: Any = None,
    times: Any = 1,
    probability: Any = None,
) -> Fault:
    """Reads a fault from JSON values. Raises InvalidRequest, with a message of one line, if they make no sense."""
    match = read_match(call, sandbox, pattern, flags, language)
    streams = {"cut_after": cut_after, "ends_after": ends_after, "dies_after": dies_after}
    kinds = {"status": status, "connection": connection, **streams}
    given = [name for name, value in kinds.items() if value is not None]
    if len(given) != 1:
        raise InvalidRequest(
            f"{' and '.join(given)} cannot both happen to one call: arrange two faults"
            if given
            else f"which failure? Give one of {', '.join(f'{name}=' for name in kinds)}"
        )
    for name, value in (("error", error), ("retry_after", retry_after), ("headers", headers)):
        if value is not None and status is None:
            raise InvalidRequest(f"{name}: needs a status too, such as status=503")
    effect: Effect
    if status is not None:
        effect = _read_refusal(status, error, retry_after, headers)
    elif connection is not None:
        effect = _read_reset(connection)
    else:
        (name,) = given
        effect = _read_stream(call, name, streams[name])
    return Fault(match, effect, _read_times(times), _read_probability(probability))


def read_latency(
    call: Any,
    *,
    low: Any,
    high: Any,
    sandbox: Any = None,
    pattern: Any = None,
    flags: Any = 0,
    language: Any = None,
    times: Any = None,
) -> Fault:
    """Reads a delay from JSON values. `low`, `high`: seconds. Raises InvalidRequest."""
    match = read_match(call, sandbox, pattern, flags, language)
    if not (is_seconds(low) and is_seconds(high) and low <= high):
        given = low if low is high else (low, high)
        raise InvalidRequest(f"seconds: expected a number such as 0.5, or (low, high), got {given!r}")
    return Fault(match, Delay(low, high), _read_times(times), None)


def _read_refusal(status: Any, error: Any, retry_after: Any, headers: Any) -> Refusal:
    if type(status) is not int or not 400 <= status <= 599:
        raise InvalidRequest(f"status: expected 400 to 599, got {status!r}")
    if not (error is None or isinstance(error, str)):
        raise InvalidRequest(f"error: expected a string, got {error!r}")
    sent = {} if headers is None else headers
    if not isinstance(sent, dict) or not all(_is_header(*item) for item in sent.items()):
        raise InvalidRequest(f"headers: expected a dict such as {{'Retry-After': '1'}}, got {headers!r}")
    if retry_after is not None:
        if type(retry_after) is not int or retry_after < 0:
            raise InvalidRequest(f"retry_after: expected whole seconds from 0, got {retry_after!r}")
        sent = {**sent, "Retry-After": str(retry_after)}
    return Refusal(status, error, sent)


def _is_header(name: Any, value: Any) -> bool:
    """Whether HTTP can carry it."""
    return (
        isinstance(name, str)
        and _HEADER_NAME.fullmatch(name) is not None
        and isinstance(value, str)
        and value.isascii()
        and value.isprintable()
        and value == value.strip()
    )


def _read_stream(call: Any, name: str, after: Any) -> Cut | Death:
    if call != "exec":
        raise InvalidRequest(f"{name}: only an exec has a stream of events: write 'exec', not {call!r}")
    if type(after) is not int or after < 0:
        raise InvalidRequest(f"{name}: expected a number of events from 0, got {after!r}")
    return Death(after) if name == "dies_after" else Cut(after, ends=name == "ends_after")


def _read_reset(connection: Any) -> Reset:
    if connection == "refuse":
        raise InvalidRequest(
            "connection: a refused connection carries no call: use `with emulator.refusing_connections():`"
        )
    check_name("connection", connection, ("reset", "reset_after"))
    return Reset(done=connection == "reset_after")


def _read_times(times: Any) -> int | None:
    if times is not None and (type(times) is not int or times < 1):
        raise InvalidRequest(f"times: expected 1 or more, or None for any number, got {times!r}")
    return times


def _read_probability(probability: Any) -> float | None:
    if probability is not None and (type(probability) not in (int, float) or not 0 < probability <= 1):
        raise InvalidRequest(f"probability: expected more than 0, and at most 1, got {probability!r}")
    return None if probability is None else float(probability)
