"""Keeps the server's log lines for a test."""

from __future__ import annotations

import logging
from collections import deque

from podflare_emulator.vocabulary.logs import TextFormatter, logger

LEVELS = ("error", "warning", "info")
_MOST = 1000  # lines


class KeptLog(logging.Filter):
    """The most recent lines since `keep`. They go nowhere else: not into what a test captures of its program.

    A filter, because pytest's own handler is on the logger itself if that does not propagate.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=_MOST)
        self._formatter = TextFormatter()
        self._level_before: int | None = None

    def keep(self, level: str) -> None:
        """Starts again at this level, whatever a program's own logging configuration has done to the logger."""
        self.drop()
        self._level_before = logger.level
        logger.setLevel(level.upper())
        logger.addFilter(self)
        logger.disabled = False

    def drop(self) -> None:
        """Forgets the lines, and lets later ones through to other handlers."""
        self.lines.clear()
        if self._level_before is not None:
            logger.removeFilter(self)
            logger.setLevel(self._level_before)
            self._level_before = None

    def filter(self, record: logging.LogRecord) -> bool:
        asked = getattr(record, "fields", {}).get("path", "")
        if not asked.startswith("/_emulator/"):  # that is the test's own handle, not its program
            self.lines.append(self._formatter.format(record))
        return False
