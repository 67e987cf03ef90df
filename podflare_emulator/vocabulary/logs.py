"""The emulator's log lines: which trace each belongs to, and the two formats of the command."""

import json
import logging
import time
from contextvars import ContextVar
from typing import Any, Protocol

from podflare_emulator.vocabulary.settings import LogFormat

logger = logging.getLogger("podflare_emulator")


class Served(Protocol):
    """The request that is being served, as far as its log lines show it."""

    @property
    def trace(self) -> str | None:
        """Its W3C trace context."""

    @property
    def name(self) -> str:
        """The name of the call, such as `exec`."""

    @property
    def sandbox(self) -> str | None:
        """The id of the sandbox that it is about."""


served: ContextVar[Served | None] = ContextVar("served", default=None)


class BindTraceparent(logging.Filter):
    """Gives every record the attributes `served`, the request it was logged for, and that one's `traceparent`."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.served = request = served.get()
        record.traceparent = request and request.trace
        return True


# A filter on a logger sees only what is logged on that very logger, which is enough for a test's own handlers.
# The command's handler filters too, for the lines of other loggers (uvicorn's, asyncio's).
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
    """One object a line, with the keys that the service documents: `timestamp`, `level`, `message`, `span` and so on.

    `timestamp` is UTC. `span` (`name`, and under a trace `trace_id` and `parent_span_id`) and `sandbox_id` are those of
    the request that the line was logged for. `logger`, `traceback`, and the fields of an access line are ours.
    """

    def __init__(self) -> None:
        super().__init__()
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        request: Served | None = getattr(record, "served", None)
        if request:
            line["span"] = _span(request)
            if request.sandbox:
                line["sandbox_id"] = request.sandbox
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _span(request: Served) -> dict[str, str]:
    span = {"name": request.name}
    if request.trace:
        _, trace, parent, _ = request.trace.split("-")
        span |= {"trace_id": trace, "parent_span_id": parent}
    return span


def log_to_stderr(log_format: LogFormat, level: str = "INFO") -> None:
    """For a process that only runs the emulator: logs its own lines from `level`, others from WARNING."""
    handler = logging.StreamHandler()
    handler.addFilter(BindTraceparent())
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logger.setLevel(level)
