"""Injected failures and delays: the part of `Emulator` for faults and latency."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, Literal

from podflare_emulator.handle.journal import HasId
from podflare_emulator.handle.record import Record
from podflare_emulator.handle.registration import entry_of
from podflare_emulator.vocabulary.errors import EmulatorError

Call = Literal[
    "any",
    "create",
    "exec",
    "fork",
    "merge_into",
    "destroy",
    "replay",
    "resume",
    "destroy_space",
    "healthz",
    "pty",
    "pty_list",
    "pty_input",
    "pty_resize",
    "pty_kill",
    "pty_attach",
    "pty_read",
]


@dataclass(frozen=True)
class Fault:
    """A fault or a latency, with the number of calls that it has affected."""

    described: str
    _number: int
    _counts: Callable[[], list[tuple[int, int]]]

    @property
    def used(self) -> int:
        """The number of calls that it has affected. Raises EmulatorError after a reset."""
        return entry_of(self._number, self._counts(), self.described)


class Faults(Record):
    """A base of `Emulator`. Faults are removed at the next reset, or at the end of a with block."""

    def __init__(self) -> None:
        super().__init__()
        self._faults: list[Fault] = []

    def fault(
        self,
        call: Call,
        *,
        status: int | None = None,
        error: str | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
        connection: Literal["reset", "reset_after"] | None = None,
        cut_after: int | None = None,
        ends_after: int | None = None,
        dies_after: int | None = None,
        sandbox: str | HasId | None = None,
        code: str | re.Pattern[str] | None = None,
        language: Literal["python", "bash"] | None = None,
        times: int | EllipsisType | None = ...,
        probability: float | None = None,
    ) -> Fault:
        """Injects a failure into calls of the API.

            emulator.fault("exec", status=429, retry_after=1)           # the next exec is refused
            emulator.fault("create", status=500, times=3)               # the next three creates are refused
            emulator.fault("exec", cut_after=2, code="train(")          # the stream breaks off after two events
            emulator.fault("any", connection="reset", probability=0.1)  # one call in ten, at random

        The newest fault that matches a call applies. Give one kind of failure:

        Args:
            call: The call that fails; "any" for every call.
            status: The call does not run and is answered with this status, 400 to 599. `error` is the message (by
                default the service's), `retry_after` (seconds) and `headers` are added.
            connection: The connection is reset: with "reset" before the call runs, with "reset_after" after it has run,
                so that only the answer is lost.
            cut_after: An exec's stream breaks off after this number of events, if it has more. The code is interrupted,
                as when a client disconnects.
            ends_after: As `cut_after`, but the answer ends regularly and only lacks the exit event.
            dies_after: The sandbox's interpreter is killed (SIGKILL) when the exec has printed this number of lines; 0:
                before the code runs. The exec ends with exit code 137, later calls fail with 500.

            sandbox: Only calls on this sandbox; for a merge, on this parent.
            code: Only execs whose code contains this text, or matches this regular expression.
            language: Only execs in this language.

            times: The number of calls that it affects; None: all. The default is one, or all if `probability` is given.
            probability: The chance to affect each call, drawn with the emulator's seed.

        Raises:
            EmulatorError: The arguments do not fit together; one line says why.
        """
        options = {
            "status": status,
            "error": error,
            "retry_after": retry_after,
            "headers": headers,
            "connection": connection,
            "cut_after": cut_after,
            "ends_after": ends_after,
            "dies_after": dies_after,
            "sandbox": sandbox,
            "code": code,
            "language": language,
            "times": times,
            "probability": probability,
        }
        number = self._call("add_fault", **fault_order(call, options))
        return self._handle(_described("fault", call, options), number)

    def latency(
        self,
        call: Call,
        seconds: float | tuple[float, float],
        *,
        sandbox: str | HasId | None = None,
        code: str | re.Pattern[str] | None = None,
        language: Literal["python", "bash"] | None = None,
        times: int | None = None,
    ) -> Fault:
        """Delays answers by a number of seconds, or a random number in a range (low, high).

            emulator.latency("exec", 2.5)
            emulator.latency("any", (0.02, 0.2))  # drawn for each call with the emulator's seed

        The call itself runs at once, and its time counts; the answer is delayed (for an exec, its first event). The
        newest latency that matches a call applies. Answers of faults are delayed too.

        Args:
            times: The number of calls that it affects; by default all.

        The other arguments are those of `fault`.
        """
        options = {"sandbox": sandbox, "code": code, "language": language, "times": times}
        number = self._call("add_latency", **latency_order(call, seconds, options))
        return self._handle(_described("latency", call, {"seconds": seconds, **options}), number)

    def empty_pool(self, times: int = 1, *, seconds: float | None = None) -> Fault:
        """The next creates find no warm sandbox: each takes as long as a cold boot, by default the vendor's 1.4 s."""
        from podflare_emulator.domain.testing.timings import COLD_BOOT

        return self.latency("create", COLD_BOOT if seconds is None else seconds, times=times)

    def use_profile(self, profile: Literal["local", "hosted"]) -> None:
        """Sets how long calls take: as fast as possible, or at least as long as the vendor publishes."""
        self._call("use_profile", profile=profile)

    @contextmanager
    def refusing_connections(self, seconds: float | None = None) -> Iterator[None]:
        """A context manager: inside, or for a number of seconds, new connections are refused and open ones are reset.

        No other program can take the port meanwhile, and the methods of the emulator still work.
        """
        self._call("refuse_connections", seconds=seconds)
        try:
            yield
        finally:
            with suppress(EmulatorError):  # it has been stopped inside
                self._call("accept_connections")

    @contextmanager
    def without_faults(self) -> Iterator[None]:
        """A context manager: inside, no fault and no latency applies or counts. For what a test sets up or inspects."""
        if not self._faults:
            yield
            return
        self._call("suspend_faults")
        try:
            yield
        finally:
            self._call("resume_faults")

    def assert_all_faults_used(self) -> None:
        """Raises AssertionError if a fault or latency has affected no call; names it, and lists the calls."""
        unused = [fault.described for fault in self._faults if not fault.used]
        if unused:
            asked = "\n".join(f"  {one!r}" for one in self.requests()) or "  nothing"
            raise AssertionError(f"no call met {', '.join(unused)}; what was asked:\n{asked}")

    def _handle(self, described: str, number: int) -> Fault:
        fault = Fault(described, number, lambda: self._call("faults_used"))
        self._faults.append(fault)
        return fault


def fault_order(call: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """As the control API takes it. Raises EmulatorError for a fault that cannot be meant; needs no emulator."""
    from podflare_emulator.domain.testing.faults import read_fault

    times = options.get("times", ...)
    if times is ...:
        times = 1 if options.get("probability") is None else None
    return _checked(read_fault, {**_order(call, options), "times": times})


def latency_order(call: Any, seconds: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """As the control API takes it. Raises EmulatorError for a latency that cannot be meant; needs no emulator."""
    from podflare_emulator.domain.testing.faults import read_latency

    pair = isinstance(seconds, (tuple, list)) and len(seconds) == 2
    low, high = seconds if pair else (seconds, seconds)
    return _checked(read_latency, {**_order(call, options), "low": low, "high": high})


def _order(call: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    order = {"call": call, **{name: value for name, value in options.items() if value is not None}}
    sandbox, code = order.get("sandbox"), order.pop("code", None)
    if sandbox is not None:
        order["sandbox"] = getattr(sandbox, "id", sandbox)
    if isinstance(code, re.Pattern):
        order |= {"pattern": code.pattern, "flags": int(code.flags)}
    elif code is not None:
        order["pattern"] = re.escape(code) if isinstance(code, str) else code
    return order


def _checked(reader: Callable[..., Any], order: dict[str, Any]) -> dict[str, Any]:
    from podflare_emulator.control.fault_calls import read
    from podflare_emulator.vocabulary.sandbox_errors import InvalidRequest

    try:
        read(reader, order)
    except InvalidRequest as error:
        raise EmulatorError(str(error)) from None
    return order


def _described(kind: str, call: str, options: Mapping[str, Any]) -> str:
    given = [f"{name}={value!r}" for name, value in options.items() if value not in (None, ...)]
    return f"{kind}({', '.join([repr(call), *given])})"
