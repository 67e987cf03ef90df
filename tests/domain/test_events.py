"""From bytes to lines, and what a sandbox's journal keeps of them."""

from podflare_emulator.domain.events import LONGEST_LINE, REPLAYED, Event, Journal, Lines, unfinished, without


def test_a_line_arrives_when_its_newline_does() -> None:
    lines = Lines()
    assert lines.feed(b"on") == []
    assert lines.feed(b"e\ntwo\nthr") == ["one", "two"]
    assert lines.rest() == ["thr"]
    assert lines.rest() == []


def test_a_character_may_arrive_in_pieces() -> None:
    lines = Lines()
    euro = "€\n".encode()
    assert [line for byte in euro for line in lines.feed(bytes([byte]))] == ["€"]


def test_bytes_that_are_not_utf_8_are_replaced() -> None:
    assert Lines().feed(b"a\xffb\n") == ["a\ufffdb"]


def test_the_hidden_directory_is_taken_out_even_when_it_arrives_in_pieces() -> None:
    lines = Lines(hidden=b"/state/jails/1")
    assert lines.feed(b"/state/ja") + lines.feed(b"ils/1/root\n") == ["/root"]


def test_a_line_that_never_ends_is_cut() -> None:
    lines = Lines()
    assert lines.feed(b"x" * (LONGEST_LINE - 1)) == []
    (cut,) = lines.feed(b"x")
    assert len(cut) == LONGEST_LINE
    assert lines.rest() == []


def test_the_journal_keeps_the_most_recent_events() -> None:
    journal = Journal()
    journal.add([Event("stdout", str(number), number, 0) for number in range(REPLAYED + 5)])
    assert [event.seq for event in journal.recent()] == list(range(5, REPLAYED + 5))


def test_the_journal_lets_long_events_go_earlier() -> None:
    journal = Journal()
    journal.add([Event("stdout", "x" * (10 << 20), number, 0) for number in range(3)])
    assert [event.seq for event in journal.recent()] == [2]


def test_a_hidden_path_may_be_cut_anywhere() -> None:
    hidden = b"/tmp/state/jails/abc"
    printed = b"/tmp/x " + hidden + b"/.venv/scripts.12/-/root/run.sh: " + hidden + b"/data " + hidden + b"\n"
    expected = without(hidden, printed)
    for at in range(len(printed)):
        begun = at - unfinished(hidden, printed[:at])
        assert without(hidden, printed[:begun]) + without(hidden, printed[begun:]) == expected, printed[:at]
    assert unfinished(hidden, b"root@sandbox:/root# ") == 0
    assert unfinished(b"", b"/tmp") == 0


def test_the_longest_line_is_not_cut_within_a_hidden_path() -> None:
    hidden = b"/tmp/state/jails/abc"
    lines = Lines(hidden)
    (cut,) = lines.feed(b"x" * (LONGEST_LINE - 9) + b" " + hidden[:8])
    assert cut == "x" * (LONGEST_LINE - 9) + " "
    assert lines.feed(hidden[8:] + b"/data\n") == ["/data"]
