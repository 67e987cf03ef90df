"""Why an isolation backend is not in use."""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """A backend that failed, with the kernel's message; or one that was skipped though it might work, and why."""

    backend: str
    reason: str
    left_out: bool = False

    def __str__(self) -> str:
        if self.left_out:
            return f"{self.backend} isolation is not chosen automatically: {self.reason}"
        return f"{self.backend} isolation is not available here: {self.reason}"
