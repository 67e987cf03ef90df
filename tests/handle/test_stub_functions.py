"""Execs that functions of the test's decide about, wherever the server runs."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from podflare import Client, ExecResult, NotFoundError, Sandbox, ServerError
from podflare_emulator import Emulator, EmulatorError
from podflare_emulator.stubs import Answer, StubCall

from ..matrix import SLOW, servers


@pytest.fixture(scope="module", params=servers())
def server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator(server=request.param) as emulator:
        yield emulator


def ask_and_leave(emulator: Emulator, sandbox: Sandbox, code: str, asked: threading.Event) -> None:
    """A client that goes away once a function is asked about its exec."""
    connection = http.client.HTTPConnection(emulator.url.partition("//")[2])
    connection.request(
        "POST",
        f"/v1/sandboxes/{sandbox.id}/exec",
        json.dumps({"code": code}),
        {"Content-Type": "application/json"},
    )
    asked.wait()
    connection.close()


class Thinking:
    """An answer function that blocks until it is let go, and tells that it was asked."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go = threading.Event()

    def __call__(self, call: StubCall) -> str:
        self.asked.set()
        self.go.wait()
        return "thought"


@pytest.fixture
def thinking() -> Iterator[Thinking]:
    thinking = Thinking()
    yield thinking
    thinking.go.set()


@SLOW
def test_a_function_tells_what_matches(emulator: Emulator, sandbox: Sandbox) -> None:
    stub = emulator.stub(lambda code, language: language == "bash" and len(code) > 20, stdout="too long")
    assert sandbox.run_code("echo short", "bash").stdout == "short"
    assert sandbox.run_code("echo a longer one, and longer", "bash").stdout == "too long"
    assert sandbox.run_code("print('python is not meant')").stdout == "python is not meant"
    assert stub.used == 1


def test_a_function_gets_the_call_and_answers_with_text(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub("hello", answer=lambda call: f"{call.language} in {call.sandbox}:\n{call.code}")
    assert sandbox.run_code("hello()").stdout == f"python in {sandbox.id}:\nhello()"
    assert emulator.execs()[0].stub == "'hello'"


def test_a_function_answers_with_an_answer_or_a_result_of_the_sdks(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    emulator.stub("a", answer=lambda call: Answer(["one", 0.01, "two"], "err", 4))
    result = sandbox.run_code("a")
    assert (result.stdout, result.stderr, result.exit_code) == ("one\ntwo", "err", 4)
    emulator.stub("b", answer=lambda call: ExecResult("of the SDK", "", 5))
    assert sandbox.run_code("b").exit_code == 5


def test_a_function_runs_the_real_thing_changed_and_edits_what_came_of_it(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    def answer(call: StubCall) -> Answer:
        real = call.run_real(call.code.replace("paid_api()", "'free'"))
        return replace(real, stdout=f"<{real.stdout}>", exit_code=real.exit_code + 1)

    emulator.stub("paid_api", answer=answer)
    result = sandbox.run_code("said = paid_api()\nprint(said)\nimport sys; sys.exit('end')")
    assert (result.stdout, result.stderr, result.exit_code) == ("<free>", "end", 2)
    assert sandbox.run_code("print(said)").stdout == "free"
    assert [one.stdout for one in emulator.execs()] == ["<free>", "free"]
    assert [event.data for event in sandbox.replay() if event.type == "stdout"] == ["<free>", "free"]


def test_a_function_may_run_the_real_thing_as_it_is_and_more_than_once(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    def twice(call: StubCall) -> Answer:
        call.run_real()
        return call.run_real()

    emulator.stub("count", answer=twice)
    sandbox.run_code("n = 0")
    assert sandbox.run_code("n += 1; print(n)  # count").stdout == "2"


@pytest.mark.parametrize("asked", ["match", "answer"])
def test_what_a_function_raises_fails_the_exec(emulator: Emulator, sandbox: Sandbox, asked: str) -> None:
    def broken(*arguments: object) -> str:
        raise ValueError("no such model")

    if asked == "match":
        emulator.stub(broken, times=1)
    else:
        emulator.stub("ask", answer=broken, times=1)
    with pytest.raises(ServerError, match="ValueError: no such model"):
        sandbox.run_code("ask")
    assert emulator.execs()[0].error == "ValueError: no such model"


def test_a_function_that_returns_nothing_fails_the_exec_and_says_what_to_return(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    emulator.stub("ask", answer=lambda call: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(ServerError, match="returned None; return text, Answer"):
        sandbox.run_code("ask")


def test_a_function_that_returns_what_no_exec_says_fails_it(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub("ask", answer=lambda call: Answer(exit_code=1000))
    with pytest.raises(ServerError, match="exit_code: expected 0 to 255, got 1000"):
        sandbox.run_code("ask")


def test_a_function_that_thinks_stops_nothing_else(
    emulator: Emulator, sandbox: Sandbox, thinking: Thinking
) -> None:
    emulator.stub("slow", answer=thinking)
    emulator.stub("quick", answer=lambda call: "quick")
    said: list[str] = []
    asking = threading.Thread(target=lambda: said.append(sandbox.run_code("slow").stdout))
    asking.start()
    thinking.asked.wait()
    with Sandbox() as other:
        assert other.run_code("quick").stdout == "quick"
        assert other.run_code("print(1)").stdout == "1"
    assert sandbox.run_code("print('free meanwhile')").stdout == "free meanwhile"
    thinking.go.set()
    asking.join()
    assert said == ["thought"]


def test_a_function_may_use_the_emulator_and_its_own_sandbox(emulator: Emulator, sandbox: Sandbox) -> None:
    def answer(call: StubCall) -> str:
        emulator.stub("inner", stdout="stubbed meanwhile")
        (child,) = sandbox.fork()
        with child:
            return f"{sandbox.run_code('inner').stdout}, {child.run_code('print(x)').stdout}"

    sandbox.run_code("x = 1")
    emulator.stub("outer", answer=answer)
    assert sandbox.run_code("outer").stdout == "stubbed meanwhile, 1"


def test_functions_are_asked_about_forked_children_too(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.stub("who", answer=lambda call: call.sandbox)
    children = sandbox.fork(3)
    assert [child.run_code("who").stdout for child in children] == [child.id for child in children]
    for child in children:
        child.close()


def test_a_client_that_goes_away_is_not_answered_and_the_sandbox_goes_on(
    emulator: Emulator, sandbox: Sandbox, thinking: Thinking
) -> None:
    emulator.stub("slow", answer=thinking)
    ask_and_leave(emulator, sandbox, "slow", thinking.asked)
    thinking.go.set()
    assert sandbox.run_code("print('here')").stdout == "here"


def test_a_delete_ends_an_exec_that_a_function_thinks_about(emulator: Emulator, thinking: Thinking) -> None:
    emulator.stub("slow", answer=thinking)
    sandbox = Sandbox()
    failures: list[Exception] = []

    def ask() -> None:
        try:
            sandbox.run_code("slow")
        except NotFoundError as error:
            failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    thinking.asked.wait()
    sandbox.close()
    asking.join()
    assert len(failures) == 1


def test_the_real_thing_is_interrupted_when_its_client_goes_away(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    raised: list[Exception] = []
    asked, ended = threading.Event(), threading.Event()

    def answer(call: StubCall) -> Answer:
        asked.set()
        try:
            return call.run_real()
        except EmulatorError as error:
            raised.append(error)
            raise
        finally:
            ended.set()

    emulator.stub("while", answer=answer)
    ask_and_leave(emulator, sandbox, "import time\nwhile True: time.sleep(0.01)", asked)
    ended.wait()
    assert "the exec is over" in str(raised[0])
    assert sandbox.run_code("print('its turn')").stdout == "its turn"


@SLOW
def test_what_really_ran_is_in_a_fork_by_replay() -> None:
    with Emulator(fork="replay") as emulator, emulator.redirect_clients(), Sandbox() as sandbox:
        emulator.stub("paid", answer=lambda call: call.run_real("x = 'free'"))
        emulator.stub("never", answer=lambda call: "not run")
        sandbox.run_code("x = paid()")
        sandbox.run_code("never()")
        (child,) = sandbox.fork()
        with child:
            assert child.run_code("print(x)").stdout == "free"


@SLOW
def test_an_emulator_stops_while_a_function_thinks(thinking: Thinking) -> None:
    for kind in ("thread", "process"):
        thinking.asked.clear()
        with Emulator(server=kind) as emulator:  # type: ignore[arg-type]
            emulator.stub("slow", answer=thinking)
            asking = threading.Thread(target=_ask_in_vain, args=(emulator.url,))
            asking.start()
            thinking.asked.wait()
        asking.join()


def _ask_in_vain(url: str) -> None:
    with Client(host=url) as client, pytest.raises(httpx.HTTPError):
        Sandbox(client=client).run_code("slow")
