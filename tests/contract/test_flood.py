"""More output than anybody reads at once."""

from podflare import Sandbox

from ..matrix import SLOW
from .printed import printed
from .wire import Wire, texts


@SLOW
def test_a_slow_client_loses_nothing_and_holds_nobody_up(wire: Wire) -> None:
    other = wire.create()
    running = wire.begin(wire.create(), "for number in range(100_000): print(number)")
    first = running.next_event()
    assert texts(wire.events(other, "print('answered meanwhile')")) == ["answered meanwhile"]
    assert texts([first, *running.rest()]) == [str(number) for number in range(100_000)]


@SLOW
def test_a_flood_of_empty_lines_leaves_the_next_exec_as_it_should_be(sandbox: Sandbox) -> None:
    for _ in range(5):
        assert printed(sandbox, "print('\\n' * 60_000, end='')") == "\n" * 59_999
        assert printed(sandbox, "print('x' * 1_000_000)") == "x" * 1_000_000


@SLOW
def test_a_flood_that_ends_before_anybody_has_read_it_leaves_the_next_exec_live(wire: Wire) -> None:
    sandbox_id = wire.create()
    running = wire.begin(sandbox_id, "for number in range(250_000): print(number)\nprint('last')")
    waiting = wire.begin(sandbox_id, "print('x' * 1_000_000)\nwhile True: pass")
    assert texts(running.rest())[-1] == "last"
    assert waiting.next_event()["data"] == "x" * 1_000_000


@SLOW
def test_stdout_and_stderr_in_floods_come_through(sandbox: Sandbox) -> None:
    result = sandbox.run_code("seq 50000 & seq 50000 >&2; wait", "bash")
    lines = [str(number) for number in range(1, 50_001)]
    assert result.stdout.split("\n") == lines
    assert result.stderr.split("\n") == lines
