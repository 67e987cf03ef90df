import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from podflare import APIConnectionError, Event, ExecResult, Sandbox

from ..matrix import SLOW


def test_result_has_stdout_stderr_and_exit_code(sandbox: Sandbox) -> None:
    result = sandbox.run_code("import sys; print(1); print(2); print('oops', file=sys.stderr)")
    assert result == ExecResult(stdout="1\n2", stderr="oops", exit_code=0)
    assert result.ok


def test_exception_is_a_traceback_and_not_ok(sandbox: Sandbox) -> None:
    result = sandbox.run_code("1/0")
    assert "ZeroDivisionError" in result.stderr
    assert not result.ok
    assert sandbox.run_code("print('still here')").stdout == "still here"


def test_language_is_sent(sandbox: Sandbox, received: list[dict[str, Any]]) -> None:
    assert sandbox.run_code("echo $((6*7))", language="bash").stdout == "42"
    assert received[-1]["body"] == {"code": "echo $((6*7))", "language": "bash"}


def test_empty_lines_are_kept(sandbox: Sandbox) -> None:
    assert sandbox.run_code(r"print('\n\na\n')").stdout == "\n\na\n"


@pytest.mark.parametrize("separator", ["\r", "\x0b", "\x0c", "\x1c", "\x1e", "\x85", "\u2028", "\u2029"])
def test_only_a_newline_ends_a_line(sandbox: Sandbox, instead: dict[str, Any], separator: str) -> None:
    """Also if the server leaves the character as it is, which JSON allows for most of these."""
    lines = [
        {"type": "stdout", "data": f"a{separator}b", "seq": 0, "ts": 1},
        {"type": "exit", "data": 0, "seq": 1, "ts": 1},
    ]
    raw = separator >= "\x20"
    instead["exec"] = (200, {}, [json.dumps(line, ensure_ascii=not raw).encode() + b"\n" for line in lines])
    assert sandbox.run_code("").stdout == f"a{separator}b"


def test_an_event_may_arrive_in_pieces(sandbox: Sandbox, instead: dict[str, Any]) -> None:
    text = '{"type":"stdout","data":"été","seq":0,"ts":1}\n{"type":"exit","data":7,"seq":1,"ts":1}'
    instead["exec"] = (200, {}, [bytes([byte]) for byte in text.encode()])
    assert sandbox.run_code("") == ExecResult("été", "", 7)


def test_stream_yields_events(sandbox: Sandbox) -> None:
    events = list(sandbox.run_code_stream("for i in range(2): print(i)"))
    ts = events[0].ts
    assert events == [
        Event("stdout", "0", 0, ts),
        Event("stdout", "1", 1, ts),
        Event("exit", 0, 2, ts),
    ]


def test_stream_yields_while_the_code_still_runs(sandbox: Sandbox, instead: dict[str, Any]) -> None:
    seen = threading.Event()

    def lines() -> Iterator[bytes]:
        yield b'{"type":"stdout","data":"first","seq":0,"ts":1}\n'
        assert seen.wait(60)
        yield b'{"type":"exit","data":0,"seq":1,"ts":1}\n'

    instead["exec"] = (200, {}, lines())
    stream = sandbox.run_code_stream("")
    assert next(stream).data == "first"
    seen.set()
    assert [event.type for event in stream] == ["exit"]


def test_closing_the_stream_early_breaks_the_request_off(sandbox: Sandbox, instead: dict[str, Any]) -> None:
    noticed = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b'{"type":"stdout","data":"more","seq":0,"ts":1}\n'
        finally:
            noticed.set()

    instead["exec"] = (200, {}, endless())
    stream = sandbox.run_code_stream("")
    next(stream)
    stream.close()
    assert noticed.wait(60)


def test_unknown_event_types_are_ignored(sandbox: Sandbox, events_of_exec: Callable[..., None]) -> None:
    events_of_exec(("stdout", "a"), ("telemetry", "b"), ("exit", 0), ("telemetry", "c"))
    assert sandbox.run_code("") == ExecResult("a", "", 0)


def test_a_stream_without_exit_is_an_error(sandbox: Sandbox, events_of_exec: Callable[..., None]) -> None:
    events_of_exec(("stdout", "a"))
    with pytest.raises(APIConnectionError, match="ended without an exit event") as caught:
        sandbox.run_code("")
    assert isinstance(caught.value, httpx.RemoteProtocolError)


def test_a_stream_that_breaks_off_is_an_error(sandbox: Sandbox, instead: dict[str, Any]) -> None:
    def broken() -> Iterator[bytes]:
        yield b'{"type":"stdout","data":"a","seq":0,"ts":1}\n'
        raise OSError

    instead["exec"] = (200, {}, broken())
    with pytest.raises(APIConnectionError):
        sandbox.run_code("")


@pytest.mark.parametrize("line", [b"<html>", b"[]", b'{"type": "stdout"}', b"\xff"])
def test_a_line_that_is_no_event_is_an_error(sandbox: Sandbox, instead: dict[str, Any], line: bytes) -> None:
    instead["exec"] = (200, {}, [line + b"\n"])
    with pytest.raises(APIConnectionError, match="no event"):
        sandbox.run_code("")


def test_code_may_hold_any_character(sandbox: Sandbox) -> None:
    assert sandbox.run_code("print(ascii('\u2028\U0001f600'))").stdout == r"'\u2028\U0001f600'"


@SLOW
def test_forks_run_in_a_thread_pool(sandbox: Sandbox) -> None:
    children = sandbox.fork(4)
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda pair: pair[1].run_code(f"print({pair[0]})"), enumerate(children)))
        list(pool.map(Sandbox.close, children))
    assert [result.stdout for result in results] == ["0", "1", "2", "3"]


def test_one_connection_is_enough(host: str, received: list[dict[str, Any]]) -> None:
    """A stream is read to its end, not dropped at its exit event."""
    with Sandbox(host=host) as sandbox:
        for _ in range(3):
            sandbox.run_code("print(1)")
    assert len({request["port"] for request in received}) == 1


def test_replay_yields_the_events(sandbox: Sandbox, instead: dict[str, Any]) -> None:
    instead["replay"] = (200, {}, [b'{"type":"stdout","data":"x","seq":0,"ts":5}\n'])
    assert list(sandbox.replay()) == [Event("stdout", "x", 0, 5)]


def test_code_that_is_no_text_is_named(sandbox: Sandbox, received: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"code cannot be sent: .* bytes .*; got b'print"):
        sandbox.run_code(b"print(1)")  # type: ignore[arg-type]
    assert sandbox.run_code("print(1)").stdout == "1"
