"""Execs that a test answers itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from podflare import Sandbox, ServerError
from podflare_emulator import Emulator, EmulatorError

from ..matrix import SLOW, servers


@pytest.fixture(scope="module", params=servers())
def server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator(server=request.param) as emulator:
        yield emulator


def control(emulator: Emulator, name: str, **arguments: Any) -> httpx.Response:
    return httpx.post(f"{emulator.url}/_emulator/{name}", json=arguments)


@SLOW
def test_what_matches_is_answered_and_what_does_not_runs(emulator: Emulator, sandbox: Sandbox) -> None:
    stub = emulator.stub("pip install", stdout="Collecting x\nDone\n", stderr="a notice", exit_code=7)
    result = sandbox.run_code("touch /root/ran; pip install x", "bash")
    assert (result.stdout, result.stderr, result.exit_code) == ("Collecting x\nDone", "a notice", 7)
    assert sandbox.run_code("ls /root", "bash").stdout == ""
    assert sandbox.run_code("print(1)").stdout == "1"
    assert stub.used == 1


def test_a_stub_matches_by_regular_expression_and_language(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub(re.compile(r"^CURL\b", re.IGNORECASE | re.MULTILINE), language="bash", stdout="a page")
    assert sandbox.run_code("true\ncurl https://example", "bash").stdout == "a page"
    assert sandbox.run_code("curl = 1; print('real')").stdout == "real"
    assert sandbox.run_code("echo curl", "bash").stdout == "curl"


def test_the_newest_answers_as_often_as_it_may(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub("request()", stdout="default")
    emulator.stub("request()", stderr="503", exit_code=1, times=2)
    results = [sandbox.run_code("request()") for _ in range(3)]
    assert [(result.exit_code, result.stdout) for result in results] == [(1, ""), (1, ""), (0, "default")]


def test_a_default_comes_after_the_others_and_need_not_be_used(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub("ask", stdout="the test's", times=1)
    emulator.stub("ask", stdout="the first default's", default=True)
    emulator.stub("ask", stdout="the second default's", default=True)
    said = [sandbox.run_code("ask()").stdout for _ in range(2)]
    assert said == ["the test's", "the second default's"]
    emulator.assert_all_stubs_used()


def test_forks_are_stubbed_too_and_the_journal_tells(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub("think()", stdout="thought")
    (child,) = sandbox.fork()
    with child:
        assert child.run_code("think()").stdout == "thought"
        child.run_code("print('real')")
    stubbed, real = emulator.execs()
    assert (stubbed.sandbox, stubbed.stdout, stubbed.stub) == (child.id, "thought", "'think()'")
    assert real.stub is None
    assert repr(stubbed).startswith(f"<{child.id[:12]} python: think() (stubbed, exit 0, ")


def test_stubs_end_with_the_test(emulator: Emulator) -> None:
    stub = emulator.stub("print", stdout="stubbed")
    emulator.reset()
    emulator.stub("another")
    with Sandbox() as sandbox:
        assert sandbox.run_code("print('real')").stdout == "real"
    with pytest.raises(EmulatorError, match="the stub 'print' is gone: the emulator was reset"):
        _ = stub.used


def test_a_stub_that_answered_nothing_is_named_with_what_ran(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub("pip install", language="bash")
    sandbox.run_code("print('pip  install')")
    with pytest.raises(AssertionError) as raised:
        emulator.assert_all_stubs_used()
    assert "nothing matched the stub(s) 'pip install' (bash)" in str(raised.value)
    assert "python: print('pip install')" in str(raised.value)
    sandbox.run_code("pip install x", "bash")
    emulator.assert_all_stubs_used()


def test_an_answer_comes_in_parts_of_both_streams_in_order_of_time(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    emulator.stub("train", stdout=["one\ntwo", 0.02, "four"], stderr=[0.01, "three"], delay=0.01)
    events = list(sandbox.run_code_stream("train()"))
    assert [(event.type, event.data) for event in events] == [
        *(("stdout", "one"), ("stdout", "two"), ("stderr", "three"), ("stdout", "four")),
        ("exit", 0),
    ]


def test_what_an_answer_says_first_is_streamed_before_it_ends(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub("train", stdout=["one", 3600])
    events = sandbox.run_code_stream("train()")
    assert next(events).data == "one"
    assert emulator.execs()[0].ended is None
    events.close()
    assert sandbox.run_code("print('its turn')").stdout == "its turn"
    assert emulator.execs()[0].exit_code == 130


def test_a_delete_ends_an_answer_that_waits_as_it_ends_code(emulator: Emulator) -> None:
    emulator.stub("train", stdout=["one", 3600])
    with Sandbox() as sandbox:
        events = sandbox.run_code_stream("train()")
        assert next(events).data == "one"
        emulator.reset()
        complaint, end = events
    assert "was killed by signal 9" in str(complaint.data)
    assert end.data == 137


@pytest.mark.parametrize(
    ("raises", "message"),
    [
        ("out of capacity", "out of capacity"),
        (RuntimeError("no agent"), "RuntimeError: no agent"),
        (TimeoutError, "TimeoutError"),
    ],
)
def test_an_exec_fails_as_the_service_would(
    emulator: Emulator, sandbox: Sandbox, raises: Any, message: str
) -> None:
    emulator.stub("x = 1", raises=raises, times=1, delay=0.01)
    with pytest.raises(ServerError, match=message) as raised:
        sandbox.run_code("x = 1")
    assert raised.value.response.status_code == 500
    sandbox.run_code("x = 1")
    failed, _ = emulator.execs()
    assert (failed.error, failed.exit_code, failed.stub) == (message, None, "'x = 1'")
    assert failed.ended is not None
    assert f"(stubbed, failed: {message}, " in repr(failed)


@pytest.mark.parametrize(
    ("match", "options", "message"),
    [
        ("", {}, "match: expected a part of the code, a compiled regular expression, or a plain function"),
        (5, {}, "got 5"),
        (re.compile(b"x"), {}, "got re.compile(b'x')"),
        (lambda code: True, {}, "a plain function of code and language"),
        ("x", {"language": "perl"}, "language: expected python or bash, got 'perl'"),
        ("x", {"times": 0}, "times: expected 1 or more, got 0"),
        ("x", {"times": "2"}, "times: expected 1 or more, got '2'"),
        ("x", {"exit_code": 256}, "exit_code: expected 0 to 255, got 256"),
        ("x", {"exit_code": True}, "exit_code: expected 0 to 255, got True"),
        ("x", {"delay": -1}, "delay: expected seconds, 0 or more, got -1"),
        ("x", {"delay": float("nan")}, "delay: expected seconds"),
        ("x", {"delay": 10**400}, "delay: expected seconds"),
        (
            "x",
            {"stdout": ["a", 10**400]},
            "stdout: expected a string, or a list of strings and seconds such as",
        ),
        ("x", {"stdout": b"bytes"}, "stdout: expected a string, or a list of strings and seconds such as"),
        ("x", {"stderr": ["a", -0.5]}, 'such as ["a", 0.5, "b"], got [\'a\', -0.5]'),
        (
            "x",
            {"stdout": "a", "raises": "b"},
            "raises: give it alone, instead of stdout, stderr and exit_code",
        ),
        ("x", {"exit_code": 1, "answer": lambda call: ""}, "answer: give it alone, instead of"),
        ("x", {"raises": "b", "answer": lambda call: ""}, "answer: give it alone, instead of"),
        ("x", {"raises": 5}, "raises: expected an exception or its message, got 5"),
        ("x", {"answer": "text"}, "text is given as stdout="),
        (
            "x",
            {"answer": lambda: ""},
            "answer: expected a plain function of one argument, the call, got <function",
        ),
    ],
)
def test_a_stub_that_cannot_be_meant_is_refused(
    emulator: Emulator, match: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(EmulatorError, match=re.escape(message)):
        emulator.stub(match, **options)


def test_a_coroutine_function_is_refused(emulator: Emulator) -> None:
    async def answer(call: object) -> str:
        return ""

    with pytest.raises(EmulatorError, match="answer: expected a plain function of one argument"):
        emulator.stub("x", answer=answer)  # type: ignore[arg-type]


def test_the_control_api_takes_and_refuses_the_same(emulator: Emulator, sandbox: Sandbox) -> None:
    answer = {"stdout": ["a", 0.01, "b"], "exit_code": 3, "label": "mine", "times": 1}
    assert control(emulator, "add_stub", pattern="pip +install", **answer).status_code == 200
    result = sandbox.run_code("pip  install x", "bash")
    assert (result.stdout, result.exit_code, emulator.execs()[0].stub) == ("a\nb", 3, "mine")
    for arguments in ({"pattern": "("}, {"pattern": "x", "stdout": 5}, {"pattern": "x", "delay": "1"}):
        refused = control(emulator, "add_stub", **arguments)
        assert refused.status_code == 400, refused.text
