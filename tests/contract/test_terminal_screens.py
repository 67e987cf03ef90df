"""Programs that fill a screen, through a terminal: what a person would see."""

from __future__ import annotations

import base64
import shutil

import pytest

from .terminal import Terminal
from .wire import Wire, texts

pyte = pytest.importorskip("pyte")

COLS, ROWS = 80, 24


class Screen:
    """What a terminal shows, as an emulator of one draws it."""

    def __init__(self, wire: Wire, command: list[str], needs: str | None = None) -> None:
        program = needs or command[0]
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
        self.sandbox = wire.create()
        self.terminal = Terminal(wire, self.sandbox, command, cols=COLS, rows=ROWS)
        self._screen = pyte.Screen(COLS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._position = 0

    def until(self, *words: str) -> str:
        """Waits until all of these are on the screen at once."""
        for _ in range(60):
            shown = "\n".join(self._screen.display)
            if all(word in shown for word in words):
                return shown
            answer = self.terminal.call("read", since_seq=self._position, timeout_ms=1000).json()
            self._position = answer["next_seq"]
            self._stream.feed(base64.b64decode(answer["data_b64"]))
        raise AssertionError(f"waited for {words}, saw:\n{shown}")

    def type(self, text: str) -> None:
        self.terminal.type(text)


def test_less(wire: Wire) -> None:
    lines = "\\n".join(f"line {number}" for number in range(1, 100))
    screen = Screen(wire, ["bash", "-c", f"printf '{lines}' > /root/a.txt; less /root/a.txt"], needs="less")
    screen.until("line 1 ", "line 23")
    screen.type("G")
    assert "line 1 " not in screen.until("line 99")
    screen.type("q")
    assert screen.terminal.watching.exit_code() == 0


def test_top(wire: Wire) -> None:
    screen = Screen(wire, ["top"])
    shown = screen.until("PID", "COMMAND", "python3")
    assert shown.startswith("top -")
    screen.type("q")
    assert screen.terminal.watching.exit_code() == 0


def test_vim(wire: Wire) -> None:
    screen = Screen(wire, ["vim", "-u", "NONE", "-T", "vt100", "/root/note.txt"])
    screen.until("note.txt")
    screen.type("ihello from vim")
    screen.until("hello from vim")
    screen.type("\x1b")
    screen.type(":wq\r")
    assert screen.terminal.watching.exit_code() == 0
    assert texts(wire.events(screen.sandbox, "print(open('/root/note.txt').read(), end='')")) == [
        "hello from vim"
    ]


def test_a_full_screen_program_redraws_at_a_new_size(wire: Wire) -> None:
    program = (
        "import curses, signal\n"
        "def main(screen):\n"
        "    screen.timeout(500)\n"  # curses misses a signal that comes just before it waits without a limit
        "    while True:\n"
        "        screen.erase()\n"
        "        screen.addstr(0, 0, '%d rows, %d columns' % screen.getmaxyx())\n"
        "        screen.refresh()\n"
        "        if screen.getch() == ord('q'): return\n"
        "curses.wrapper(main)\n"
    )
    screen = Screen(wire, ["python3", "-c", program])
    screen.until("24 rows, 80 columns")
    screen.terminal.call("resize", cols=60, rows=20)
    screen.until("20 rows, 60 columns")
    screen.type("q")
    assert screen.terminal.watching.exit_code() == 0
