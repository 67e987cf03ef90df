"""The document says what is served, all of it, and the running server keeps to it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from podflare import Sandbox
from podflare_emulator import Emulator
from podflare_emulator.api.contract.document import undocumented
from podflare_emulator.api.contract.service import CALLS
from podflare_emulator.control.control import Control

from ..serving import serving
from .fake_domain import FakeRegistry

schemathesis = pytest.importorskip("schemathesis")

# Each would end what the others need, or wait for somebody: they have tests of their own.
_LEFT_OUT = {"/_emulator/refuse_connections", "/_emulator/next_question", "/_emulator/run_real"}
_EXAMPLES = 8


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with serving() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def document(emulator: Emulator) -> Any:
    answer = httpx.get(f"{emulator.url}/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json()


def test_every_route_is_in_it(document: Any) -> None:
    operations = [(method.upper(), path) for path, item in document["paths"].items() for method in item]
    served = [(method, path) for method, path in operations if path.startswith("/v1/")]
    assert sorted(served) == sorted(CALLS)
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


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize("tag", ["health", "sandboxes", "spaces", "terminals", "control"])
def test_the_server_keeps_to_it(emulator: Emulator, document: Any, tag: str, mode: str) -> None:
    """No 5xx and nothing outside the schema, whatever is asked; what the schema forbids is refused."""
    hypothesis = pytest.importorskip("hypothesis")
    schema = schemathesis.openapi.from_dict(document).include(tag=tag)
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in _LEFT_OUT:
            continue
        generation = schemathesis.GenerationMode(mode)

        @hypothesis.settings(
            max_examples=_EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=generation))
        def check(case: Any) -> None:
            with _placed(case, emulator):
                case.call_and_validate(
                    base_url=emulator.url, excluded_checks=_excluded(case), timeout=30, allow_redirects=False
                )

        with contextlib.suppress(hypothesis.errors.Unsatisfiable):  # nothing is forbidden
            check()
            tried += 1
    assert tried or tag == "health" or mode == "negative"
