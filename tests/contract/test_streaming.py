"""Events are sent as they are produced."""

from podflare import Sandbox

from ..matrix import SLOW
from .wire import Wire


def test_a_line_is_there_while_the_code_still_runs(wire: Wire) -> None:
    running = wire.begin(wire.create(), "print('first')\nwhile True: pass")
    assert running.next_event()["data"] == "first"


def test_a_line_of_bash_is_there_while_the_code_still_runs(wire: Wire) -> None:
    running = wire.begin(wire.create(), "echo first; sleep 1000", "bash")
    assert running.next_event()["data"] == "first"


def test_the_sdk_yields_a_line_while_the_code_still_runs(sandbox: Sandbox) -> None:
    events = sandbox.run_code_stream("print('first')\nwhile True: pass")
    assert next(events).data == "first"
    events.close()


@SLOW
def test_each_event_carries_the_time_of_its_own_line(wire: Wire) -> None:
    first, second, _ = wire.events(wire.create(), "import time\nprint(1); time.sleep(1); print(2)")
    assert second["ts"] - first["ts"] >= 900


@SLOW
def test_run_code_waits_for_code_that_is_silent(sandbox: Sandbox) -> None:
    result = sandbox.run_code("import time; time.sleep(1); print('done')")
    assert (result.stdout, result.exit_code) == ("done", 0)
