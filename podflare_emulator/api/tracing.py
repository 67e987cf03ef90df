"""OpenTelemetry: a span for each request, if it was configured before the server starts.

Either by the standard variables or by a tracer provider in this process, set by its code or `opentelemetry-instrument`.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from podflare_emulator.api import requests
from podflare_emulator.vocabulary.logs import logger

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_NAME = "podflare_emulator"
_CONFIGURED_BY = (
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)
_INSTALL = "pip install 'podflare-emulator[traces]'"


class Traced:
    """Makes each request a span of its client's trace, or of a new one, whose id appears in its log lines."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind

        request = requests.of(scope)
        caller = extract({"traceparent": request.trace}) if request.trace else None
        attributes = {"http.request.method": request.method, "url.path": request.path}
        with self._tracer.start_as_current_span(request.name, caller, SpanKind.SERVER, attributes) as span:
            here = span.get_span_context()
            if not request.trace and here.is_valid:
                request.trace = f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}"

            async def noting_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _note(span, message["status"])
                await send(message)

            try:
                await self._app(scope, receive, noting_status)
            finally:
                if request.sandbox:
                    span.set_attribute("podflare.sandbox_id", request.sandbox)


def find_tracer() -> Tracer | None:
    """None, without importing anything, if OpenTelemetry is not configured."""
    by_variables = any(os.environ.get(name) not in (None, "", "none") for name in _CONFIGURED_BY)
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or not (
        by_variables or "opentelemetry.sdk.trace" in sys.modules
    ):
        return None
    try:
        from opentelemetry import trace

        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider) and by_variables:
            trace.set_tracer_provider(_provider_by_variables())
    except ImportError as error:
        logger.warning("OpenTelemetry is configured but not installed: %s (%s)", _INSTALL, error)
        return None
    return trace.get_tracer(_NAME)


def _provider_by_variables() -> Any:
    """Raises ImportError if the SDK or its exporter is missing."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

    exporter: SpanExporter
    if os.environ.get("OTEL_TRACES_EXPORTER") == "console":
        exporter = ConsoleSpanExporter(out=sys.stderr)  # stdout is for the command's output
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter()
    name = os.environ.get("OTEL_SERVICE_NAME", "podflare-emulator")
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _note(span: Any, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        from opentelemetry.trace import StatusCode

        span.set_status(StatusCode.ERROR)
