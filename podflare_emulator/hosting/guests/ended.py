"""How a guest ended by itself."""

from __future__ import annotations

import signal

from msgspec import Struct


class Ended(Struct, frozen=True):
    """A guest has ended by itself. `code`: its exit code, or minus the signal; None if it is unknown."""

    code: int | None

    @property
    def exit_code(self) -> int:
        """As a shell would report it."""
        if self.code is None:
            return 128 + signal.SIGKILL
        return 128 - self.code if self.code < 0 else self.code

    def __str__(self) -> str:
        if self.code is None:
            return "ended"
        if self.code >= 0:
            return f"ended by itself with exit code {self.code}"
        try:
            name = f" ({signal.Signals(-self.code).name})"
        except ValueError:
            name = ""
        return f"was killed by signal {-self.code}{name}"
