"""Keeps log lines below WARNING of a server in a thread out of the tests' `caplog`, unless a test asks for them."""

from __future__ import annotations

import logging

_OURS = logging.getLogger("podflare_emulator")
_UVICORNS = [logging.getLogger(name) for name in ("uvicorn.error", "uvicorn.access")]
_THREAD = "podflare-emulator"


class Quiet(logging.Filter):
    """Filters by thread, as a program under test may run its own uvicorn, whose lines stay."""

    def begin(self) -> None:
        if _OURS.level == logging.NOTSET:  # otherwise a test has asked for them
            _OURS.setLevel(logging.WARNING)
        for logger in _UVICORNS:
            logger.addFilter(self)

    def end(self) -> None:
        _OURS.setLevel(logging.NOTSET)
        for logger in _UVICORNS:
            logger.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or record.threadName != _THREAD
