"""Finds out which exec an interrupt was meant for: it may arrive late, after that has ended, or before it begins."""

from __future__ import annotations

from collections.abc import Callable


class Interrupts:
    """Compares the number of interrupts that have arrived with the number that the host has sent.

    `hits`: interrupts that stopped running code; the code may have sent them itself. `between`: interrupts that arrived
    when no code ran. Those that bash or a handler of the user got count in neither.
    """

    def __init__(self) -> None:
        self.hits = 0  # hits and between: since the host ordered the last exec
        self.between = 0
        self._ordered = 0  # how many the host had sent when it ordered that exec
        self._early = 0  # how many arrived for that exec before it began

    def expect(self, sent: int) -> None:
        """An exec begins; the host had sent `sent` interrupts when it ordered it."""
        before, self._ordered = sent - self._ordered, sent
        late = max(0, before - self.hits - self._early)  # they were meant for execs that had ended
        self._early = max(0, self.between - late)
        self.between = self.hits = 0

    @property
    def pending(self) -> bool:
        """Whether an interrupt was meant for this exec, whose code has not started."""
        return self._early + self.between > 0


class Handler:
    """Takes the place of `signal.default_int_handler`, whose name it has: pdb, asyncio and others look for that.

    Like that builtin function it does not become a method as an attribute of a class.
    """

    def __init__(self, arrived: Callable[[], None]) -> None:
        self._arrived = arrived
        self.__module__ = "signal"
        self.__name__ = self.__qualname__ = "default_int_handler"
        self.__doc__ = "The default handler for SIGINT installed by Python: it raises KeyboardInterrupt."

    def __call__(self, signalnum: object, frame: object, /) -> None:
        self._arrived()

    def __repr__(self) -> str:
        return f"<built-in function {self.__name__}>"

    def __reduce__(self) -> str:
        return self.__name__
