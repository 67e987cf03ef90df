"""Why an isolation backend is not in use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """A backend that was tried, and the kernel's own words; or that was left out though it might work, and why."""

    backend: str
    reason: str
    left_out: bool = False

    def __str__(self) -> str:
        if self.left_out:
            return f"{self.backend} isolation is not taken unasked: {self.reason}"
        return f"{self.backend} isolation cannot be had here: {self.reason}"
