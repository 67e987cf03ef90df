"""The document says what is served, all of it, and the running server keeps to it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from podflare import Sandbox
from podflare_emulator import Emulator
from podflare_emulator.api.contract.service import CALLS
from podflare_emulator.control.control import Control

from ..matrix import SLOW
from ..serving import serving

hypothesis = pytest.importorskip("hypothesis")
schemathesis = pytest.importorskip("schemathesis")

# Each would end what the others need, or wait for somebody: they have tests of their own.
_LEFT_OUT = {"/_emulator/refuse_connections", "/_emulator/next_question", "/_emulator/run_real"}
_EXAMPLES = 5
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with serving() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def document(emulator: Emulator) -> Any:
    answer = httpx.get(f"{emulator.url}/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json()


@SLOW
def test_every_route_is_in_it(document: Any) -> None:
    operations = [(method.upper(), path) for path, item in document["paths"].items() for method in item]
    served = [(method, path) for method, path in operations if path.startswith("/v1/")]
    assert set(CALLS) == set(served)
    controls = {path.removeprefix("/_emulator/") for _, path in operations if path.startswith("/_emulator/")}
    assert controls == {name for name in dir(Control) if not name.startswith("_")} - {"close"}


def test_the_document_is_openapi(document: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    assert document["openapi"].startswith("3.1")
    for name, schema in document["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert name
    identifiers = [call["operationId"] for item in document["paths"].values() for call in item.values()]
    assert len(set(identifiers)) == len(identifiers)


@contextlib.contextmanager
def _real(case: Any, emulator: Emulator) -> Iterator[None]:
    """The call is about what is there, and nothing of that is afterwards."""
    places = case.path_parameters or {}
    with ExitStack() as there:
        if "sandbox_id" in places:
            sandbox, winner = (there.enter_context(Sandbox(host=emulator.url)) for _ in range(2))
            places["sandbox_id"] = sandbox.id
            if "winner_id" in places:
                places["winner_id"] = winner.id
            if "terminal_id" in places and not case.path.endswith("/attach"):  # which goes on for ever
                places["terminal_id"] = there.enter_context(
                    _terminal(f"{emulator.url}/v1/sandboxes/{sandbox.id}")
                )
        yield


@contextlib.contextmanager
def _terminal(url: str) -> Iterator[str]:
    with httpx.stream("POST", f"{url}/pty", json={"shellCmd": "cat"}) as answer:
        yield json.loads(next(answer.iter_lines()))["session_id"]


@SLOW
@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize("tag", ["health", "sandboxes", "spaces", "terminals", "control"])
def test_the_server_keeps_to_it(emulator: Emulator, document: Any, tag: str, mode: str) -> None:
    """No 5xx and nothing outside the schema, whatever is asked; what the schema forbids is refused."""
    schema = schemathesis.openapi.from_dict(document).include(tag=tag)
    checks = [getattr(schemathesis.checks, name) for name in _CHECKS]
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in _LEFT_OUT:
            continue
        cases = operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))

        @hypothesis.settings(
            max_examples=_EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=cases, real=hypothesis.strategies.booleans())
        def check(case: Any, real: bool) -> None:
            if case.path.endswith("/read") and isinstance(case.body, dict):
                wait = case.body.get("timeout_ms", 10)
                case.body["timeout_ms"] = min(wait, 10) if isinstance(wait, int) else wait
            with _real(case, emulator) if real else contextlib.nullcontext():
                case.call_and_validate(base_url=emulator.url, checks=checks, timeout=30)
            emulator.reset()

        with contextlib.suppress(hypothesis.errors.Unsatisfiable):  # it forbids nothing
            check()
