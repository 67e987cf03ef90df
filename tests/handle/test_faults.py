"""What a test lets go wrong, as the SDK's user meets it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import httpx
import pytest

from podflare import (
    APIConnectionError,
    APIStatusError,
    Client,
    NotFoundError,
    Sandbox,
    ServerError,
    TooManyRequestsError,
    UnauthorizedError,
)
from podflare_emulator import Emulator, EmulatorError

from ..matrix import SLOW, servers

COUNT = "for n in range(3): print(n)"


@pytest.fixture(scope="module", params=servers())
def server(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator(server=request.param, seed=7) as emulator:
        yield emulator


@pytest.fixture
def sandbox(emulator: Emulator) -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox
        emulator.reset()


def failures(call: Callable[[], object], times: int) -> list[bool]:
    return [not succeeds(call) for _ in range(times)]


def succeeds(call: Callable[[], object]) -> bool:
    try:
        call()
    except APIStatusError:
        return False
    return True


@SLOW
def test_an_exec_is_refused_once_without_being_run(emulator: Emulator, sandbox: Sandbox) -> None:
    fault = emulator.fault("exec", status=429, retry_after=3)
    with pytest.raises(TooManyRequestsError, match="too many requests") as raised:
        sandbox.run_code("ran = True")
    assert raised.value.response.headers["Retry-After"] == "3"
    assert sandbox.run_code("print('ran' in globals())").stdout == "False"
    assert fault.used == 1
    assert [one.status for one in emulator.requests(call="exec")] == [429, 200]


@pytest.mark.parametrize(
    ("call", "options", "error", "message"),
    [
        ("create", {"status": 500}, ServerError, "the pool is exhausted and a cold boot failed"),
        ("fork", {"status": 500}, ServerError, "agent did not respond"),
        ("replay", {"status": 404}, NotFoundError, "^sandbox not found .HTTP 404"),
        ("any", {"status": 401}, UnauthorizedError, "invalid api key"),
        ("fork", {"status": 503, "error": "draining"}, ServerError, "draining"),
        ("merge_into", {"status": 503}, ServerError, "service unavailable"),
        ("destroy", {"status": 502}, ServerError, "bad gateway"),
        ("fork", {"status": 599}, ServerError, "status 599"),
    ],
)
def test_every_call_can_be_refused_in_the_services_words_or_the_tests(
    emulator: Emulator, call: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    calls: dict[str, Callable[[Client], object]] = {
        "create": lambda client: Sandbox(client=client),
        "fork": lambda client: parent.fork(),
        "replay": lambda client: list(parent.replay()),
        "any": lambda client: parent.run_code(""),
        "merge_into": lambda client: parent.merge_into(child),
        "destroy": lambda client: client.destroy_sandbox(child.id),
    }
    with Client() as client, Sandbox(client=client) as parent:
        (child,) = parent.fork()
        emulator.fault(call, **options)
        with pytest.raises(error, match=message):
            calls[call](client)
        calls[call](client)


def test_health_can_fail_and_headers_are_sent(emulator: Emulator) -> None:
    emulator.fault("healthz", status=503, headers={"X-Reason": "deploy"})
    answer = httpx.get(f"{emulator.url}/v1/healthz")
    assert (answer.status_code, answer.headers["X-Reason"]) == (503, "deploy")
    assert answer.json() == {"error": "service unavailable"}


def test_a_fault_happens_as_often_as_it_may(emulator: Emulator, sandbox: Sandbox) -> None:
    fault = emulator.fault("exec", status=503, times=2)
    assert failures(lambda: sandbox.run_code(""), 4) == [True, True, False, False]
    assert fault.used == 2


def test_a_fault_can_last_until_the_reset(emulator: Emulator, sandbox: Sandbox) -> None:
    fault = emulator.fault("exec", status=503, times=None)
    assert failures(lambda: sandbox.run_code(""), 5) == [True] * 5
    emulator.reset(keep=[sandbox.id])
    assert sandbox.run_code("print(1)").stdout == "1"
    with pytest.raises(EmulatorError, match=re.escape("fault('exec', status=503) is gone")):
        _ = fault.used


def test_the_newest_fault_that_a_call_meets_happens(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.fault("any", status=500, times=None)
    emulator.fault("exec", status=429)
    statuses = []
    for _ in range(2):
        with pytest.raises(APIStatusError) as raised:
            sandbox.run_code("")
        statuses.append(raised.value.response.status_code)
    assert statuses == [429, 500]


def test_chance_follows_the_seed_whatever_else_is_asked(emulator: Emulator) -> None:
    def outcomes(*, others: bool) -> list[bool]:
        emulator.fault("healthz", status=503, probability=0.5)
        emulator.fault("replay", status=500, probability=0.5)
        with httpx.Client(base_url=emulator.url) as http:
            drawn = []
            for _ in range(16):
                drawn.append(http.get("/v1/healthz").status_code == 503)
                if others:
                    http.get("/v1/sandboxes/sbx_0/replay")
        emulator.reset()
        return drawn

    first = outcomes(others=False)
    assert set(first) == {True, False}
    assert outcomes(others=True) == first


def test_chance_follows_the_seed_whatever_else_happens_to_a_call(emulator: Emulator) -> None:
    def outcomes(*, others: bool) -> list[int]:
        emulator.fault("healthz", status=503, probability=0.5)
        if others:
            emulator.fault("healthz", status=500, probability=0.5)
        with httpx.Client(base_url=emulator.url) as http:
            drawn = [http.get("/v1/healthz").status_code for _ in range(16)]
        emulator.reset()
        return drawn

    alone = outcomes(others=False)
    beside = outcomes(others=True)
    assert 500 in beside
    assert all(status in (500, first) for first, status in zip(alone, beside, strict=True))


def test_only_what_matches_fails(emulator: Emulator, sandbox: Sandbox) -> None:
    with Sandbox() as other:
        emulator.fault("exec", status=503, sandbox=other, times=None)
        emulator.fault("exec", status=503, code="train(", times=None)
        emulator.fault(
            "exec", status=503, code=re.compile("^CURL", re.IGNORECASE), language="bash", times=None
        )
        assert succeeds(lambda: sandbox.run_code("curl = 1"))
        assert not succeeds(lambda: sandbox.run_code("curl x", "bash"))
        assert not succeeds(lambda: sandbox.run_code("def train(): ..."))
        assert not succeeds(lambda: other.run_code("1"))
        emulator.reset(keep=[sandbox.id, other.id])


def test_a_reset_connection_is_a_transport_error_and_nothing_is_done(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    emulator.fault("exec", connection="reset")
    with pytest.raises(httpx.ReadError, match="reset by peer") as raised:
        sandbox.run_code("done = True")
    assert isinstance(raised.value, APIConnectionError)
    assert sandbox.run_code("print('done' in globals())").stdout == "False"
    assert [one.status for one in emulator.requests(call="exec")] == [None, 200]


def test_an_answer_that_is_lost_is_a_transport_error_and_all_is_done(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    fault = emulator.fault("exec", connection="reset_after")
    with pytest.raises(httpx.ReadError):
        sandbox.run_code("done = True")
    assert sandbox.run_code("print('done' in globals())").stdout == "True"
    assert fault.used == 1


def test_an_answer_that_is_lost_may_be_a_refusal(emulator: Emulator) -> None:
    fault = emulator.fault("exec", connection="reset_after")
    with httpx.Client(base_url=emulator.url) as http, pytest.raises(httpx.ReadError):
        http.post("/v1/sandboxes/sbx_0/exec", json={"code": ""})
    assert fault.used == 1


@pytest.mark.parametrize("events", [0, 1, 3])
def test_a_cut_stream_gives_its_first_events_and_an_error(
    emulator: Emulator, sandbox: Sandbox, events: int
) -> None:
    fault = emulator.fault("exec", cut_after=events)
    stream = sandbox.run_code_stream(COUNT)
    assert [event.data for event in islice(stream, events)] == ["0", "1", "2"][:events]
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        next(stream)
    assert fault.used == 1
    assert sandbox.run_code("print('next')").stdout == "next"


@pytest.mark.parametrize("events", [0, 2, 3])
def test_a_stream_that_ends_without_an_exit_event_is_no_success(
    emulator: Emulator, sandbox: Sandbox, events: int
) -> None:
    fault = emulator.fault("exec", ends_after=events)
    with pytest.raises(APIConnectionError, match="the stream ended without an exit event"):
        sandbox.run_code(COUNT)
    assert fault.used == 1
    assert sandbox.run_code("print('next')").stdout == "next"


def test_what_a_cut_stream_leaves_running_is_interrupted(emulator: Emulator, sandbox: Sandbox) -> None:
    emulator.fault("exec", cut_after=1)
    with pytest.raises(APIConnectionError):
        sandbox.run_code("print('begun')\nwhile True: pass")
    assert sandbox.run_code("print('next')").stdout == "next"
    assert emulator.execs()[0].exit_code == 130


def test_a_stream_that_is_not_longer_stays_whole_and_the_fault_waits(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    fault = emulator.fault("exec", cut_after=4)
    assert sandbox.run_code(COUNT).stdout == "0\n1\n2"
    assert fault.used == 0
    with pytest.raises(APIConnectionError):
        sandbox.run_code("for n in range(9): print(n)")
    assert fault.used == 1


def test_a_refusal_of_the_call_itself_is_not_cut(emulator: Emulator, sandbox: Sandbox) -> None:
    with Sandbox() as closed:
        emulator.reset(keep=[sandbox.id])
        fault = emulator.fault("exec", cut_after=0)
        with pytest.raises(NotFoundError):
            closed.run_code("1")
    assert fault.used == 0


@pytest.mark.parametrize(("lines", "stdout"), [(0, ""), (2, "0\n1")])
def test_an_interpreter_dies_while_it_runs_code(
    emulator: Emulator, sandbox: Sandbox, lines: int, stdout: str
) -> None:
    fault = emulator.fault("exec", dies_after=lines)
    result = sandbox.run_code(COUNT)
    assert (result.stdout, result.exit_code) == (stdout, 128 + 9)
    assert "SIGKILL" in result.stderr
    assert fault.used == 1
    for call in (lambda: sandbox.run_code("1"), lambda: sandbox.fork()):
        with pytest.raises(ServerError, match="agent did not respond"):
            call()


def test_an_interpreter_that_says_less_lives_and_the_fault_waits(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    fault = emulator.fault("exec", dies_after=4)
    assert sandbox.run_code(COUNT).ok
    assert fault.used == 0
    assert sandbox.run_code("for n in range(5): print(n, flush=True)").exit_code == 137


def test_a_death_under_bash_and_in_a_fork_is_its_own(emulator: Emulator, sandbox: Sandbox) -> None:
    (child,) = sandbox.fork()
    with child:
        emulator.fault("exec", dies_after=1, sandbox=child)
        assert sandbox.run_code("echo 1; echo 2", "bash").stdout == "1\n2"
        result = child.run_code("echo 1; echo 2; sleep 60", "bash")
        assert (result.stdout, result.exit_code) == ("1", 137)
        assert sandbox.run_code("print('alive')").stdout == "alive"


def test_faults_are_set_aside_for_what_a_test_arranges(emulator: Emulator, sandbox: Sandbox) -> None:
    fault = emulator.fault("any", status=500)
    with emulator.without_faults():
        assert sandbox.run_code("print(1)").stdout == "1"
    assert fault.used == 0
    assert not succeeds(lambda: sandbox.run_code("print(1)"))


def test_a_fault_that_no_call_met_is_named_with_what_was_asked_for(
    emulator: Emulator, sandbox: Sandbox
) -> None:
    emulator.fault("fork", status=500, error="no")
    sandbox.run_code("print(1)")
    with pytest.raises(AssertionError) as raised:
        emulator.assert_all_faults_used()
    assert "no call met fault('fork', status=500, error='no')" in str(raised.value)
    assert "exec" in str(raised.value)
    assert not succeeds(sandbox.fork)
    emulator.assert_all_faults_used()


def test_other_languages_arrange_faults_by_http(emulator: Emulator, sandbox: Sandbox) -> None:
    order = {"call": "exec", "status": 503, "pattern": "x.*y"}
    answer = httpx.post(f"{emulator.url}/_emulator/add_fault", json=order)
    assert answer.status_code == 200
    assert not succeeds(lambda: sandbox.run_code("x = y = 1"))
    used = httpx.post(f"{emulator.url}/_emulator/faults_used", json={}).json()
    assert used == {"result": [[answer.json()["result"], 1]]}
    wrong = httpx.post(f"{emulator.url}/_emulator/add_fault", json={**order, "code": "x"})
    assert wrong.status_code == 400
    assert wrong.json()["error"].startswith(
        "got an unexpected keyword argument 'code'; there are call, status, "
    )


@pytest.mark.parametrize(
    ("call", "options", "message"),
    [
        ("exce", {"status": 500}, "call: expected any, create, exec, fork, merge_into, destroy, replay, "
            "resume, destroy_space, pty, pty_list, pty_input, pty_resize, pty_kill, pty_attach, pty_read or healthz, "
            "got 'exce'; did you mean exec?"),
        ("exec", {}, "which failure? Give one of status=, connection=, cut_after=, ends_after=, dies_after="),
        ("exec", {"status": 500, "cut_after": 1}, "status and cut_after cannot both happen to one call"),
        ("exec", {"status": 200}, "status: expected 400 to 599, got 200"),
        ("exec", {"status": "500"}, "status: expected 400 to 599, got '500'"),
        ("exec", {"connection": "reset", "error": "x"}, "error: needs a status too, such as status=503"),
        ("exec", {"cut_after": 1, "retry_after": 1}, "retry_after: needs a status too, such as status=503"),
        ("exec", {"status": 429, "retry_after": 0.5}, "retry_after: expected whole seconds from 0, got 0.5"),
        ("exec", {"status": 429, "headers": {"A": 1}}, "headers: expected a dict such as {'Retry-After': '1'}"),
        ("exec", {"status": 429, "headers": {"A b": "1"}}, "headers: expected a dict such as {'Retry-After': '1'}"),
        ("exec", {"status": 429, "headers": {"A": " 1"}}, "headers: expected a dict such as {'Retry-After': '1'}"),
        ("exec", {"connection": "refuse"}, "use `with emulator.refusing_connections():`"),
        ("exec", {"connection": "rest"}, "connection: expected reset or reset_after, got 'rest'; did you mean reset?"),
        ("fork", {"cut_after": 1}, "cut_after: only an exec has a stream of events: write 'exec', not 'fork'"),
        ("fork", {"ends_after": 1}, "ends_after: only an exec has a stream of events: write 'exec', not 'fork'"),
        ("any", {"dies_after": 1}, "dies_after: only an exec has a stream of events: write 'exec', not 'any'"),
        ("exec", {"cut_after": -1}, "cut_after: expected a number of events from 0, got -1"),
        ("exec", {"dies_after": True}, "dies_after: expected a number of events from 0, got True"),
        ("create", {"status": 500, "sandbox": "sbx_0"}, "sandbox: a create has none in its path"),
        ("exec", {"status": 500, "sandbox": 5}, "sandbox: expected a sandbox or its id, got 5"),
        ("fork", {"status": 500, "code": "x"}, "code: only an exec has one: write 'exec' instead of 'fork'"),
        ("exec", {"status": 500, "code": re.compile(b"x")}, "code: expected a string, or a regular expression"),
        ("exec", {"status": 500, "code": 5}, "code: expected a string, or a regular expression for strings, got 5"),
        ("any", {"status": 500, "language": "bash"}, "language: only an exec has one"),
        ("exec", {"status": 500, "language": "perl"}, "language: expected python or bash, got 'perl'"),
        ("exec", {"status": 500, "times": 0}, "times: expected 1 or more, or None for any number, got 0"),
        ("exec", {"status": 500, "probability": 5}, "probability: expected more than 0, and at most 1, got 5"),
    ],
)  # fmt: skip
def test_a_fault_that_cannot_be_meant_is_refused_in_one_line(
    emulator: Emulator, call: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(EmulatorError, match=re.escape(message)) as raised:
        emulator.fault(call, **options)
    assert "\n" not in str(raised.value)
