"""A client that goes away in mid-stream interrupts its exec, so that the next one is not stuck."""

import random

import pytest

from podflare import Sandbox

from .printed import printed
from .wire import Language, Wire, texts

pytestmark = pytest.mark.usefixtures("ours")

ENDLESS = "print('running')\nwhile True: pass"


def test_the_next_exec_runs(wire: Wire) -> None:
    sandbox_id = wire.create()
    running = wire.begin(sandbox_id, ENDLESS)
    running.next_event()
    running.go_away()
    assert texts(wire.events(sandbox_id, "print('next')")) == ["next"]


def test_closing_the_sdks_generator_is_going_away(sandbox: Sandbox) -> None:
    events = sandbox.run_code_stream(ENDLESS)
    next(events)
    events.close()
    assert printed(sandbox, "print('next')") == "next"


def test_python_sees_a_keyboard_interrupt(wire: Wire) -> None:
    sandbox_id = wire.create()
    code = """
        import time
        try:
            print('running')
            time.sleep(1000)
        except KeyboardInterrupt:
            seen = 'interrupted'
        """
    running = wire.begin(sandbox_id, code)
    running.next_event()
    running.go_away()
    assert texts(wire.events(sandbox_id, "print(seen)")) == ["interrupted"]


def test_names_are_kept(wire: Wire) -> None:
    sandbox_id = wire.create()
    running = wire.begin(sandbox_id, f"kept = 1\n{ENDLESS}")
    running.next_event()
    running.go_away()
    assert texts(wire.events(sandbox_id, "print(kept)")) == ["1"]


@pytest.mark.parametrize(("code", "language"), [("while True: pass", "python"), ("sleep 1000", "bash")])
def test_a_client_that_goes_before_any_output_interrupts_too(
    wire: Wire, code: str, language: Language
) -> None:
    sandbox_id = wire.create()
    for _ in range(20):
        running = wire.begin(sandbox_id, code, language)
        assert running.response.status == 200
        running.go_away()
        assert texts(wire.events(sandbox_id, "print('next')")) == ["next"]


def test_bash_that_became_another_program_instead_of_ending_is_interrupted_again(wire: Wire) -> None:
    """As where the interrupt comes between bash's last look for one and its exec of the last command."""
    sandbox_id = wire.create()
    code = "trap 'exec sleep 1000' INT\necho running\nwhile :; do :; done"
    running = wire.begin(sandbox_id, code, "bash")
    running.next_event()
    running.go_away()
    assert texts(wire.events(sandbox_id, "print('next')")) == ["next"]


def test_the_process_group_of_bash_is_interrupted(wire: Wire) -> None:
    sandbox_id = wire.create()
    sleep = (
        f"sleep {random.randrange(10**6, 10**7)}"  # no other process of the machine's, which may be in sight
    )
    code = f"trap 'echo yes > /root/interrupted; exit 1' INT\necho running\n{sleep}"
    running = wire.begin(sandbox_id, code, "bash")
    running.next_event()
    running.go_away()
    events = wire.events(sandbox_id, f"cat /root/interrupted; pgrep -xf '{sleep}' || echo no sleep", "bash")
    assert texts(events) == ["yes", "no sleep"]


def test_a_subprocess_that_python_waits_for_does_not_hold_the_next_exec(wire: Wire) -> None:
    sandbox_id = wire.create()
    running = wire.begin(sandbox_id, "print('running')\nimport subprocess; subprocess.run(['sleep', '1000'])")
    running.next_event()
    running.go_away()
    assert texts(wire.events(sandbox_id, "print('next')")) == ["next"]


def test_a_client_that_goes_while_it_waits_never_gets_its_code_run(wire: Wire) -> None:
    sandbox_id = wire.create()
    running = wire.begin(sandbox_id, ENDLESS)
    running.next_event()
    waiting = wire.begin(sandbox_id, "ran = True")
    wire.settle()
    waiting.go_away()
    wire.settle()
    running.go_away()
    assert texts(wire.events(sandbox_id, "print('ran' in globals())")) == ["False"]


def test_a_flood_that_nobody_reads_does_not_hold_the_next_exec(wire: Wire) -> None:
    sandbox_id = wire.create()
    running = wire.begin(sandbox_id, "while True: print('x' * 1000)")
    running.next_event()
    running.go_away()
    assert texts(wire.events(sandbox_id, "print('next')")) == ["next"]


def test_the_interrupt_hits_no_later_exec(wire: Wire) -> None:
    sandbox_id = wire.create()
    for _ in range(20):
        running = wire.begin(sandbox_id, "print('running')")
        running.next_event()
        running.go_away()
        assert texts(wire.events(sandbox_id, "print(sum(range(100_000)))")) == ["4999950000"]


def test_code_that_will_not_stop_is_left_running_until_a_delete(wire: Wire) -> None:
    sandbox_id = wire.create()
    code = """
        while True:
            try:
                print('running')
                while True: pass
            except KeyboardInterrupt:
                pass
        """
    running = wire.begin(sandbox_id, code)
    running.next_event()
    running.go_away()
    waiting = wire.begin(sandbox_id, "print('never')")
    wire.settle()
    assert wire.delete(sandbox_id).status_code == 204
    assert waiting.response.status == 404
