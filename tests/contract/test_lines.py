"""What a line is: what ends in `\\n`, and nothing else ends one."""

import pytest

from podflare import Sandbox

from .printed import printed
from .wire import Wire, texts

# What Python's str.splitlines, and so the published client, ends a line at.
OTHER_LINE_ENDS = ["\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


def named(character: str) -> str:
    return f"U+{ord(character):04X}"


@pytest.mark.parametrize("character", OTHER_LINE_ENDS, ids=named)
def test_only_a_newline_ends_a_line(sandbox: Sandbox, character: str) -> None:
    assert printed(sandbox, f"print({f'a{character}b'!a})") == f"a{character}b"


@pytest.mark.parametrize("character", OTHER_LINE_ENDS, ids=named)
def test_other_line_ends_leave_the_server_escaped(wire: Wire, character: str) -> None:
    answer = wire.exec(wire.create(), f"print({f'a{character}b'!a})")
    assert len(answer.text.splitlines()) == 2  # one line of text, one exit


def test_a_line_of_only_a_carriage_return_is_a_line(wire: Wire) -> None:
    assert texts(wire.events(wire.create(), r"print('\r')")) == ["\r"]


def test_a_carriage_return_before_the_newline_stays(wire: Wire) -> None:
    assert texts(wire.events(wire.create(), r"print('a\r\nb')")) == ["a\r", "b"]


def test_an_event_holds_no_newline_and_empty_lines_are_events(wire: Wire) -> None:
    assert texts(wire.events(wire.create(), r"print('\na\n\n')")) == ["", "a", "", ""]


def test_a_last_line_without_a_newline_is_an_event(wire: Wire) -> None:
    assert texts(wire.events(wire.create(), "print('a\\nb', end='')")) == ["a", "b"]


def test_what_has_no_newline_is_not_glued_to_the_next_exec(sandbox: Sandbox) -> None:
    assert printed(sandbox, "print('a', end='')") == "a"
    assert printed(sandbox, "print('b')") == "b"


def test_lines_of_both_streams_without_newlines_are_kept_apart(wire: Wire) -> None:
    events = wire.events(wire.create(), "import sys; sys.stdout.write('out'); sys.stderr.write('err')")
    assert (texts(events), texts(events, "stderr")) == (["out"], ["err"])


def test_a_line_written_in_pieces_is_one_event(wire: Wire) -> None:
    code = "import os\nfor piece in (b'a', b'b', b'c\\n'): os.write(1, piece)"
    assert texts(wire.events(wire.create(), code)) == ["abc"]


def test_a_character_written_in_pieces_is_one_character(wire: Wire) -> None:
    code = "import os\nfor byte in '🐍'.encode(): os.write(1, bytes([byte]))"
    assert texts(wire.events(wire.create(), code)) == ["🐍"]


@pytest.mark.usefixtures("ours")
def test_bytes_that_are_not_utf_8_become_replacement_characters(wire: Wire) -> None:
    code = r"import os; os.write(1, b'a\xffb\xc3\n\xe9nd\n')"
    assert texts(wire.events(wire.create(), code)) == ["a\ufffdb\ufffd", "\ufffdnd"]


def test_nul_comes_through(sandbox: Sandbox) -> None:
    assert printed(sandbox, r"print('a\0b')") == "a\0b"


def test_every_control_character_and_script_comes_through(sandbox: Sandbox) -> None:
    text = "".join(map(chr, [*range(10), *range(11, 0x110), 0xFFFD, 0xFEFF, 0x1F40D, 0x10FFFF]))
    assert printed(sandbox, f"print({text!a})") == text


def test_a_megabyte_on_one_line_is_one_event(wire: Wire) -> None:
    [line] = texts(wire.events(wire.create(), "print('x' * 2**20)"))
    assert line == "x" * 2**20


def test_a_megabyte_on_one_line_comes_through_the_sdk(sandbox: Sandbox) -> None:
    assert printed(sandbox, "print('é' * 2**19)") == "é" * 2**19


def test_ten_thousand_lines_come_in_order(wire: Wire) -> None:
    events = wire.events(wire.create(), "for number in range(10_000): print(number)")
    assert texts(events) == [str(number) for number in range(10_000)]
    assert [event["seq"] for event in events] == list(range(10_001))


def test_ten_thousand_lines_come_in_order_through_the_sdk(sandbox: Sandbox) -> None:
    assert printed(sandbox, "seq 10000", "bash").split("\n") == [str(number) for number in range(1, 10_001)]
