"""The emulator's log lines: which trace each belongs to, and the two formats of the command."""

import json
import logging
import time
from contextvars import ContextVar
from typing import Any

from podflare_emulator.vocabulary.settings import LogFormat

logger = logging.getLogger("podflare_emulator")

traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""The W3C trace context of the request that is being served."""


class BindTraceparent(logging.Filter):
    """Gives every record the attribute `traceparent`: of the request it was logged for, or None."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.traceparent = traceparent.get()
        return True


# A filter on a logger sees only what is logged on that very logger: enough for a test author's own handlers.
# The command's handler filters besides, for the lines of other loggers (uvicorn's, asyncio's).
logger.addFilter(BindTraceparent())


def _trace_of(record: logging.LogRecord) -> str | None:
    return getattr(record, "traceparent", None)


class TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        line = super().formatMessage(record)
        trace = _trace_of(record)
        return f"{line} traceparent={trace}" if trace else line


class JsonFormatter(logging.Formatter):
    """One object a line. `ts` is UTC; an access line carries its `fields` as keys of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if trace := _trace_of(record):
            line["traceparent"] = trace
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_to_stderr(log_format: LogFormat) -> None:
    """For a process that is the emulator and nothing else: its own lines from INFO, others from WARNING."""
    handler = logging.StreamHandler()
    handler.addFilter(BindTraceparent())
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logger.setLevel(logging.INFO)
