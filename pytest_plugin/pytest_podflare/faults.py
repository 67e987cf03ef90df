"""A marker's faults and latencies. Loaded only for a test that has any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from podflare_emulator.handle.faults import Faults, fault_order, latency_order
from podflare_emulator.vocabulary.arguments import signature_mismatch
from podflare_emulator.vocabulary.errors import EmulatorError

if TYPE_CHECKING:
    from podflare_emulator.handle.emulator import Emulator


def mistake(faults: Mapping[Any, Any], latency: Mapping[Any, Any]) -> str | None:
    """The first invalid entry, explained in one line; None if all are valid."""
    try:
        for call, options in _each(faults):
            wrong = signature_mismatch(Faults.fault, None, call, **options)
            if wrong:
                return f"faults: {call!r}: {wrong}"
            fault_order(call, options)
    except EmulatorError as error:
        return f"faults: {error}"
    try:
        for call, seconds in latency.items():
            latency_order(call, seconds, {})
    except EmulatorError as error:
        return f"latency: {error}"
    return None


def arrange(emulator: Emulator, faults: Mapping[Any, Any], latency: Mapping[Any, Any]) -> None:
    # The newest fault happens first. So they are added backwards, and happen in the order in which they are written.
    for call, options in reversed([*_each(faults)]):
        emulator.fault(call, **options)
    for call, seconds in latency.items():
        emulator.latency(call, seconds)


def _each(faults: Mapping[Any, Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    for call, given in faults.items():
        for one in given if isinstance(given, (list, tuple)) else [given]:
            if isinstance(one, Mapping):
                yield call, dict(one)
            elif type(one) is int:
                yield call, {"status": one}
            else:
                raise EmulatorError(
                    f"{call!r}: expected a status such as 503, or a dict such as {{'cut_after': 2}}, got {one!r}"
                )
