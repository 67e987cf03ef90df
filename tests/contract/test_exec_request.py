"""`POST /v1/sandboxes/{id}/exec`: the request."""

import pytest

from .wire import Wire, error_of, events_of, texts


def test_code_is_python_unless_the_request_says_otherwise(wire: Wire) -> None:
    answer = wire.post(f"/v1/sandboxes/{wire.create()}/exec", {"code": "print(len('abc'))"})
    assert texts(events_of(answer.content)) == ["3"]


def test_language_bash_runs_bash(wire: Wire) -> None:
    assert texts(wire.events(wire.create(), "echo $((1 + 2))", "bash")) == ["3"]


def test_code_that_does_nothing_is_one_exit_event(wire: Wire) -> None:
    [event] = wire.events(wire.create(), "")
    assert (event["type"], event["data"], event["seq"]) == ("exit", 0, 0)


def test_unknown_fields_are_ignored(wire: Wire) -> None:
    body = {"code": "print(1)", "timeout": 5, "extra": {"a": None}}
    answer = wire.post(f"/v1/sandboxes/{wire.create()}/exec", body)
    assert texts(events_of(answer.content)) == ["1"]


def test_code_of_a_megabyte_runs(wire: Wire) -> None:
    code = f"print(len({'x' * 1_000_000!r}))"
    assert texts(wire.events(wire.create(), code)) == ["1000000"]


def test_code_in_every_script_runs(wire: Wire) -> None:
    assert texts(wire.events(wire.create(), "größe = '🐍 日本'; print(größe)")) == ["🐍 日本"]


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "code"),
        ({"code": None}, "code"),
        ({"code": 1}, "code"),
        ({"code": ["print(1)"]}, "code"),
        ({"code": "", "language": "ruby"}, "language"),
        ({"code": "", "language": None}, "language"),
        ({"code": "", "language": 1}, "language"),
        (["print(1)"], "body"),
        (b"print(1)", "JSON"),
        (b'{"code": "print(1)"', "JSON"),
        (b'{"code": "\xff"}', "code"),
    ],
)
def test_a_malformed_exec_is_400_and_names_the_field(wire: Wire, body: object, named: str) -> None:
    answer = wire.post(f"/v1/sandboxes/{wire.create()}/exec", body)
    assert answer.status_code == 400
    assert named in error_of(answer)
