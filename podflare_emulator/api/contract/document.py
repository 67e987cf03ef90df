"""The OpenAPI document: every route in use, and no other."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.routing import Route

from podflare_emulator.api.contract import answers, service
from podflare_emulator.api.contract import control as of_control
from podflare_emulator.api.contract.control import ControlCall
from podflare_emulator.vocabulary.regions import ALIASES, REGIONS

_Schema = dict[str, Any]

_TAGS = {
    "sandboxes": "A sandbox is a machine with a Python interpreter that keeps its state between calls",
    "terminals": "Programs on terminals, in a sandbox",
    "spaces": "Frozen sandboxes",
    "health": "The server itself",
    "control": "For tests only, and only in the emulator: the service has no such calls",
}
_EVERY_CALL = {
    401: "missing Authorization: Bearer <key>, or invalid api key",
    403: "a foreign Host or Origin, a cross-site request, or a control call from inside a sandbox",
}
_WITH_BODY = {400: "an invalid field", 413: "a body larger than 64 MiB", 415: "a body that is not JSON"}


def build(routes: Iterable[Route], control: Mapping[str, ControlCall]) -> _Schema:
    """The document for these routes of the service, and these calls of the control API."""
    shapes = of_control.shapes(control)
    called = [(path, method, service.CALLS[method, path]) for path, method in _routed(routes)]
    kinds = [answers.Error, answers.TerminalEvent, *(kind for pair in shapes.values() for kind in pair)]
    kinds += [kind for _, _, call in called for kind in (call.body, call.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schemas, components = map(_without_tuples, (schemas, components))
    of = dict(zip(map(str, kinds), schemas, strict=True))
    for name, limits in service.LIMITS.items():
        for field, limit in limits.items():
            if name in components:
                _limit(components[name]["properties"][field], limit)
    if "TerminalBody" in components:
        components["TerminalBody"]["oneOf"] = [
            {"required": [given], "properties": {given: {"type": kind}, other: {"type": "null"}}}
            for given, kind, other in (("shellCmd", "string", "argv"), ("argv", "array", "shellCmd"))
        ]
    paths: dict[str, _Schema] = {}
    for path, method, call in called:
        paths.setdefault(path, {})[method.lower()] = _operation(path, method, call, of)
    for name, (body, answer) in shapes.items():
        paths[f"/_emulator/{name}"] = {
            "post": _control_operation(name, control[name], of[str(body)], of[str(answer)])
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The Podflare emulator's API",
            "version": "1",
            "description": "Cloud sandboxes for AI agents. Streams send one JSON object a line, as events happen.",
        },
        "servers": [
            {"url": "/"},
            {
                "url": "/r/{region}",
                "description": "used by older clients",
                "variables": {"region": {"default": REGIONS[0], "enum": [*REGIONS, *ALIASES]}},
            },
        ],
        "security": [{"key": []}, {}],  # a server without keys needs none
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _routed(routes: Iterable[Route]) -> list[tuple[str, str]]:
    return [
        (route.path, method) for route in routes for method in sorted((route.methods or set()) - {"HEAD"})
    ]


def _operation(path: str, method: str, call: service.Call, of: Mapping[str, _Schema]) -> _Schema:
    operation: _Schema = {
        "tags": [call.tag],
        "summary": call.summary,
        "operationId": _identifier(method, path),
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", path)
        ],
    }
    refusals = {**_EVERY_CALL, **call.refusals}
    if call.body:
        operation["requestBody"] = _body(of[str(call.body)], required=_is_required(call.body))
        refusals = {**_WITH_BODY, **refusals}
    answer: _Schema = {"description": call.summary}
    if call.answer is str:
        answer["content"] = {call.media_type: {"schema": {"type": "string"}}}
    elif call.media_type != "application/json":
        line = {"type": "string", "description": "one JSON object a line"}
        answer["content"] = {call.media_type: {"schema": line, "x-line": of[str(call.answer)]}}
    elif call.answer is not None:
        answer["content"] = {call.media_type: {"schema": of[str(call.answer)]}}
    if call.headers:
        answer["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in call.headers.items()
        }
    operation["responses"] = {str(call.status): answer, **_refusals(refusals)}
    if call.tag == "health":
        operation["security"] = []
    return operation


def _control_operation(name: str, call: ControlCall, body: _Schema, answer: _Schema) -> _Schema:
    text = inspect.getdoc(call) or ""
    refusals = {
        **_EVERY_CALL,
        **_WITH_BODY,
        404: "no such sandbox",
        500: "the sandbox's interpreter has ended",
    }
    return {
        "tags": ["control"],
        "summary": text.partition("\n")[0],
        "description": text,
        "operationId": f"emulator_{name}",
        "requestBody": _body(body, required=False),
        "responses": {
            "200": {"description": "done", "content": {"application/json": {"schema": answer}}},
            **_refusals(refusals),
        },
    }


def _body(schema: _Schema, *, required: bool) -> _Schema:
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _is_required(body: type[msgspec.Struct]) -> bool:
    return any(field.required for field in msgspec.structs.fields(body)) or "argv" in body.__struct_fields__


def _refusals(texts: Mapping[int, str]) -> _Schema:
    schema = {"$ref": "#/components/schemas/Error"}
    return {
        str(status): {"description": text, "content": {"application/json": {"schema": schema}}}
        for status, text in sorted(texts.items())
    }


def _without_tuples(schema: Any) -> Any:
    """Describes tuples as arrays: few client generators know `prefixItems`."""
    if isinstance(schema, dict):
        schema = {name: _without_tuples(inner) for name, inner in schema.items()}
        if "prefixItems" in schema:
            first, *others = schema.pop("prefixItems")
            same = all(other == first for other in others)
            schema["items"] = first if same else {"anyOf": [first, *others]}
        return schema
    return [*map(_without_tuples, schema)] if isinstance(schema, (list, tuple)) else schema


def _limit(schema: _Schema, limit: _Schema) -> None:
    """Adds a limit to a number's schema, also if null is allowed."""
    kinds = schema.get("anyOf", [schema])
    next(kind for kind in kinds if kind.get("type") != "null").update(limit)


def _identifier(method: str, path: str) -> str:
    words = [
        word for word in re.split(r"[/{}]+", path.removeprefix("/v1/")) if word and not word.endswith("_id")
    ]
    return "_".join([method.lower(), *words])
