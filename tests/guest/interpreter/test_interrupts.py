"""Whether an exec is interrupted, by the order in which the host's interrupts and its execs arrive."""

from __future__ import annotations

import pytest

from podflare_emulator.guest.interpreter.interrupts import Interrupts


@pytest.mark.parametrize(
    ("events", "interrupted"),
    [
        ([0], False),
        (["between", 0], True),
        ([0, "between"], True),
        ([0, "hit", 1], False),
        ([0, "between", 1], False),
        (["between", 0, 1], False),
        ([0, "hit", "between", 1], True),
        (["between", 0, "between", 1], True),
        ([0, "between", "between", 1], True),
        ([0, "hit", 0], False),
        ([0, 1], False),
        ([0, 1, "between"], True),
    ],
    ids=lambda value: str(value),
)
def test_one_is_for_the_exec_that_it_was_sent_after(events: list[str | int], interrupted: bool) -> None:
    """A number is an exec, ordered when so many had been sent; the last one is asked."""
    interrupts = Interrupts()
    for event in events:
        if isinstance(event, int):
            interrupts.expect(event)
        elif event == "hit":
            interrupts.hits += 1
        else:
            interrupts.between += 1
    assert interrupts.pending == interrupted
