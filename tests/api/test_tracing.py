"""Spans: of each request, where OpenTelemetry is configured, and nothing of it where it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ..matrix import SLOW

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

# A provider is set once a process, so each has one of its own.
_WITH_A_PROVIDER = f"""
import httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

from podflare_emulator import Emulator

with Emulator(server="thread") as emulator:
    headers = {{"traceparent": "00-{TRACE}-{PARENT}-01"}}
    made = httpx.post(emulator.url + "/v1/sandboxes", json={{}}, headers=headers).json()["id"]
    httpx.post(emulator.url + f"/v1/sandboxes/{{made}}/exec", json={{"code": "print(1)"}})
    httpx.get(emulator.url + "/v1/sandboxes/sbx_0/replay")
    emulator.fault("healthz", status=500)
    httpx.get(emulator.url + "/v1/healthz")
    asked = emulator.requests()
create, execution, replay, health = exporter.get_finished_spans()
assert [span.name for span in (create, execution, replay, health)] == ["create", "exec", "replay", "healthz"]
assert f"{{create.context.trace_id:032x}}" == "{TRACE}"
assert f"{{create.parent.span_id:016x}}" == "{PARENT}"
assert create.kind is trace.SpanKind.SERVER
assert create.attributes["podflare.sandbox_id"] == execution.attributes["podflare.sandbox_id"] == made
assert execution.attributes["http.response.status_code"] == 200
assert execution.parent is None
assert f"{{execution.context.trace_id:032x}}" in asked[1].traceparent
assert replay.attributes["http.response.status_code"] == 404
assert [span.status.status_code.name for span in (replay, health)] == ["UNSET", "ERROR"]
"""


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environment |= variables
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


@SLOW
def test_requests_are_spans_of_their_clients_traces() -> None:
    pytest.importorskip("opentelemetry.sdk.trace")
    done = run(sys.executable, "-c", _WITH_A_PROVIDER)
    assert done.returncode == 0, done.stderr


@SLOW
def test_the_server_of_a_process_is_configured_by_the_standard_variables() -> None:
    pytest.importorskip("opentelemetry.sdk.trace")
    program = "from podflare import Sandbox; Sandbox().close()"
    command = [sys.executable, "-m", "podflare_emulator", "exec", "--", sys.executable, "-c", program]
    done = run(*command, OTEL_TRACES_EXPORTER="console", OTEL_SERVICE_NAME="mine")
    assert (done.returncode, done.stdout) == (0, "")
    decoder, rest, spans = json.JSONDecoder(), done.stderr.strip(), []
    while rest:
        span, end = decoder.raw_decode(rest)
        spans.append(span)
        rest = rest[end:].strip()
    assert [span["name"] for span in spans] == ["create", "destroy"]
    assert spans[0]["resource"]["attributes"]["service.name"] == "mine"


def test_without_a_configuration_nothing_of_it_is_loaded_and_without_the_sdk_it_is_told() -> None:
    program = "import sys; {}from podflare_emulator.api.tracing import find_tracer; print(find_tracer(), {})"
    loaded = "[name for name in sys.modules if 'opentelemetry' in name]"
    done = run(sys.executable, "-c", program.format("", loaded))
    assert done.stdout.strip() == "None []"
    hidden = "sys.modules['opentelemetry'] = None; "
    done = run(
        sys.executable, "-c", program.format(hidden, 0), OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1"
    )
    assert done.stdout.strip() == "None 0"
    assert "pip install 'podflare-emulator[traces]'" in done.stderr
