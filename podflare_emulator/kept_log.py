"""The server's log lines, kept for the author of a test."""

from __future__ import annotations

import logging
from collections import deque

from podflare_emulator.logs import TextFormatter, logger

LEVELS = ("error", "warning", "info")
_MOST = 1000  # lines


class KeptLog(logging.Handler):
    """The newest lines since `keep`. Meanwhile they go nowhere else: not into what a test captures of its program."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(TextFormatter())
        self.lines: deque[str] = deque(maxlen=_MOST)
        self._before: tuple[int, bool] | None = None

    def keep(self, level: str) -> None:
        """Begins anew, from this level on, whatever a program's own configuration of logging has done to the logger."""
        self.drop()
        self._before = logger.level, logger.propagate
        self.setLevel(level.upper())
        logger.setLevel(level.upper())
        logger.addHandler(self)
        logger.propagate = logger.disabled = False

    def drop(self) -> None:
        """Forgets the lines, and lets those to come go where they would."""
        self.lines.clear()
        if self._before:
            logger.removeHandler(self)
            level, logger.propagate = self._before
            logger.setLevel(level)
            self._before = None

    def emit(self, record: logging.LogRecord) -> None:
        asked = getattr(record, "fields", {}).get("path", "")
        if not asked.startswith("/_emulator/"):  # that is the author's own handle, not the program
            self.lines.append(self.format(record))
