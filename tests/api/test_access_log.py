"""One line a request, and its trace on every line."""

import json
import logging
from collections.abc import Iterator
from io import StringIO

import pytest

from podflare_emulator.vocabulary.logs import BindTraceparent, JsonFormatter, TextFormatter

from .fake_domain import FakeRegistry, FakeSandbox, ask

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class LoggingRegistry(FakeRegistry):
    async def create(self, order: object) -> FakeSandbox:
        logging.getLogger("podflare_emulator.domain").warning("the pool is empty")
        return self.sandbox


@pytest.fixture
def handler() -> Iterator["logging.StreamHandler[StringIO]"]:
    handler = logging.StreamHandler(StringIO())
    handler.addFilter(BindTraceparent())
    logger = logging.getLogger("podflare_emulator")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


def written(handler: "logging.StreamHandler[StringIO]") -> list[str]:
    return handler.stream.getvalue().splitlines()


def test_a_request_is_one_line_of_text(handler: "logging.StreamHandler[StringIO]") -> None:
    handler.setFormatter(TextFormatter())
    ask(FakeRegistry(), "GET", "/v1/healthz")
    [line] = written(handler)
    assert " INFO GET /v1/healthz 200 " in line
    assert line.endswith(" ms")


def test_every_line_of_a_request_carries_its_trace(handler: "logging.StreamHandler[StringIO]") -> None:
    handler.setFormatter(TextFormatter())
    ask(LoggingRegistry(), "POST", "/v1/sandboxes", headers={"traceparent": TRACE})
    ask(FakeRegistry(), "GET", "/v1/healthz")
    inside, access, other = written(handler)
    assert "the pool is empty" in inside
    assert inside.endswith(f" traceparent={TRACE}")
    assert access.endswith(f" traceparent={TRACE}")
    assert "traceparent" not in other


def test_a_request_is_one_json_object(handler: "logging.StreamHandler[StringIO]") -> None:
    handler.setFormatter(JsonFormatter())
    ask(FakeRegistry(), "DELETE", "/v1/sandboxes/a b", headers={"traceparent": TRACE})
    line = json.loads(written(handler)[0])
    assert line["timestamp"].endswith("Z")
    assert isinstance(line["duration_ms"], float)
    assert {
        key: line[key] for key in ("level", "logger", "method", "path", "status", "span", "sandbox_id")
    } == {
        "level": "INFO",
        "logger": "podflare_emulator",
        "method": "DELETE",
        "path": "/v1/sandboxes/a%20b",
        "status": 204,
        "span": {
            "name": "destroy",
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "parent_span_id": "b7ad6b7169203331",
        },
        "sandbox_id": "a b",
    }


def test_every_json_line_of_a_request_names_its_call_and_its_sandbox(
    handler: "logging.StreamHandler[StringIO]",
) -> None:
    handler.setFormatter(JsonFormatter())
    ask(LoggingRegistry(), "POST", "/v1/sandboxes")
    ask(FakeRegistry(), "GET", "/v1/healthz")
    inside, access, other = (json.loads(line) for line in written(handler))
    assert (inside["message"], inside["span"]) == ("the pool is empty", {"name": "create"})
    assert access["sandbox_id"] == FakeRegistry().sandbox.id
    assert other["span"] == {"name": "healthz"}
    assert "sandbox_id" not in other


def test_a_failure_is_one_json_object_with_its_traceback(handler: "logging.StreamHandler[StringIO]") -> None:
    handler.setFormatter(JsonFormatter())
    registry = FakeRegistry()
    registry.failure = ZeroDivisionError()
    ask(registry, "POST", "/v1/sandboxes")
    failure, access = (json.loads(line) for line in written(handler))
    assert "ZeroDivisionError" in failure["traceback"]
    assert access["status"] == 500


def test_a_path_with_a_newline_forges_no_line(handler: "logging.StreamHandler[StringIO]") -> None:
    ask(FakeRegistry(), "GET", "/v1/x%0aERROR%20forged")
    assert len(written(handler)) == 1


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "nonsense",
        TRACE.upper(),
        TRACE + "-x",
        TRACE.replace("00-", "ff-", 1),
        TRACE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        TRACE.replace("b7ad6b7169203331", "0" * 16),
    ],
)
def test_an_invalid_trace_is_ignored(handler: "logging.StreamHandler[StringIO]", traceparent: str) -> None:
    handler.setFormatter(TextFormatter())
    response = ask(FakeRegistry(), "GET", "/v1/healthz", headers={"traceparent": traceparent})
    assert response.status_code == 200
    assert "traceparent" not in written(handler)[0]


def test_a_handler_of_the_tests_author_sees_the_trace(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "podflare_emulator"):
        ask(FakeRegistry(), "GET", "/v1/healthz", headers={"traceparent": TRACE})
    assert [getattr(record, "traceparent", None) for record in caplog.records] == [TRACE]
