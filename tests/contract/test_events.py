"""The stream of an exec: what each event holds."""

import json
import time

import pytest

from .wire import NDJSON, Wire

THREE_LINES = "import sys; print('a'); print('b', file=sys.stderr); print('c')"


def test_a_stream_is_ndjson_in_ascii_one_object_a_line(wire: Wire) -> None:
    answer = wire.exec(wire.create(), "print('grün'); print('🐍')")
    assert answer.headers["content-type"].partition(";")[0] == NDJSON
    assert answer.content.isascii()
    *lines, after_the_last = answer.content.split(b"\n")
    assert after_the_last == b""
    assert [json.loads(line)["type"] for line in lines] == ["stdout", "stdout", "exit"]


def test_an_event_has_its_four_fields(wire: Wire) -> None:
    for event in wire.events(wire.create(), THREE_LINES):
        assert set(event) == {"type", "data", "seq", "ts"}
        assert isinstance(event["data"], int if event["type"] == "exit" else str)


def test_seq_counts_from_0_by_1(wire: Wire) -> None:
    assert [event["seq"] for event in wire.events(wire.create(), THREE_LINES)] == [0, 1, 2, 3]


def test_seq_starts_again_with_each_exec(wire: Wire) -> None:
    sandbox_id = wire.create()
    wire.events(sandbox_id, THREE_LINES)
    assert [event["seq"] for event in wire.events(sandbox_id, "print(1)")] == [0, 1]


def test_ts_is_ms_since_the_epoch_and_never_goes_back(wire: Wire) -> None:
    stamps = [event["ts"] for event in wire.events(wire.create(), THREE_LINES)]
    assert all(type(ts) is int and 10**12 < ts < 10**13 for ts in stamps)
    assert stamps == sorted(stamps)


@pytest.mark.usefixtures("ours")  # its clock is this machine's
def test_ts_is_the_time_of_the_event(wire: Wire) -> None:
    sandbox_id = wire.create()
    before = time.time_ns() // 1_000_000
    events = wire.events(sandbox_id, THREE_LINES)
    after = time.time_ns() // 1_000_000
    assert all(before <= event["ts"] <= after for event in events)


def test_exit_comes_once_and_last(wire: Wire) -> None:
    types = [event["type"] for event in wire.events(wire.create(), THREE_LINES)]
    assert sorted(types) == ["exit", "stderr", "stdout", "stdout"]
    assert types[-1] == "exit"


def test_stdout_and_stderr_are_told_apart(wire: Wire) -> None:
    events = wire.events(wire.create(), THREE_LINES)
    assert [event["data"] for event in events if event["type"] == "stdout"] == ["a", "c"]
    assert [event["data"] for event in events if event["type"] == "stderr"] == ["b"]


def test_exit_carries_the_exit_code(wire: Wire) -> None:
    assert wire.events(wire.create(), "exit 7", "bash")[-1]["data"] == 7
