"""Which exec an interrupt was meant for: one may come late, when that has ended, or early, before it began."""

from __future__ import annotations


class Interrupts:
    """A count of those that arrived, against the host's of those that it sent.

    `hits`: that stopped code while it ran; they may have been the code's own. `between`: that came when none ran. What
    a handler of the user's or bash has had is in neither.
    """

    def __init__(self) -> None:
        self.hits = 0  # both: since the last exec was ordered
        self.between = 0
        self._ordered = 0  # that the host had sent when it ordered that exec
        self._early = 0  # that came for it before it began

    def expect(self, sent: int) -> None:
        """An exec begins, which was ordered when `sent` of them had been sent."""
        before, self._ordered = sent - self._ordered, sent
        late = max(0, before - self.hits - self._early)  # they were meant for execs that had ended
        self._early = max(0, self.between - late)
        self.between = self.hits = 0

    @property
    def pending(self) -> bool:
        """Whether one was meant for this exec, whose code has not started."""
        return self._early + self.between > 0
