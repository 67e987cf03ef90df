"""Serves until a signal arrives, or for as long as a program runs."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue

from podflare_emulator.command.printing import refuse, say
from podflare_emulator.handle.emulator import Emulator, EmulatorError
from podflare_emulator.vocabulary.logs import log_to_stderr
from podflare_emulator.vocabulary.settings import Settings

_ANY_KEY = "pk_emulator"  # for clients that refuse to work without a key


def serve(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM. Returns 0, or 2 if it cannot start."""
    log_to_stderr(settings.log_format)
    with _signals(signal.SIGINT, signal.SIGTERM) as arrived:
        try:
            with Emulator(settings, server="thread") as emulator:  # no other code runs in this process
                isolation = emulator.describe_isolation()
                say(f"Podflare emulator, isolation: {isolation}, listening on {emulator.url}")
                say(emulator.describe())
                for name, value in _variables(emulator, settings).items():
                    if name != "PODFLARE_API_KEY":
                        say(f"{_CLIENTS[name]}: export {name}={value}")
                arrived.get()
        except EmulatorError as error:
            return refuse(str(error))
    return 0


def execute(settings: Settings, program: Sequence[str]) -> int:
    """Run a program with its own emulator, which its clients find by environment variables.

    Returns the program's exit status; 128 + the signal's number if a signal ended it; 127 if the program is not found,
    126 if it cannot be started; 2 if the emulator cannot be started.
    """
    log_to_stderr(settings.log_format, "WARNING")  # the terminal belongs to the program
    try:
        with Emulator(
            settings
        ) as emulator:  # in a process, out of reach of a Ctrl-C that is meant for the program
            environment = {**os.environ, **_variables(emulator, settings)}
            try:
                return _run(program, environment)
            except OSError as error:
                # If a directory of the PATH cannot be read, a missing program fails with EACCES instead of ENOENT.
                found = shutil.which(program[0]) or os.path.exists(program[0])
                refuse(f"exec: {program[0]}: {error.strerror if found else 'not found'}")
                return 126 if found else 127
    except EmulatorError as error:
        return refuse(str(error))


_CLIENTS = {"PODFLARE_HOST": "this SDK", "PODFLARE_API_URL": "the vendor's client"}


def _variables(emulator: Emulator, settings: Settings) -> dict[str, str]:
    """Those by which both clients find the emulator. They never contain the user's real key."""
    key = settings.api_keys[0] if settings.api_keys else _ANY_KEY
    return {**dict.fromkeys(_CLIENTS, emulator.url), "PODFLARE_API_KEY": key}


def _run(program: Sequence[str], environment: dict[str, str]) -> int:
    process: subprocess.Popen[bytes] | None = None

    def forward(number: int, _: object) -> None:
        if process and not (number == signal.SIGINT and os.isatty(0)):  # the terminal has sent it to both
            process.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    process = subprocess.Popen(program, env=environment)
    status = process.wait()
    return 128 - status if status < 0 else status


@contextmanager
def _signals(*numbers: signal.Signals) -> Iterator["SimpleQueue[int]"]:
    """A queue of the signals that arrive; none, not even a second one, interrupts the code inside.

    Afterwards they are ignored: the process is about to exit, with 0 even if more of them arrive.
    """
    # They are not blocked and waited for, since the guests would inherit the signal mask. A handler interrupts its own
    # thread: `SimpleQueue.put` may interrupt `get`, where an Event's lock could deadlock.
    arrived: SimpleQueue[int] = SimpleQueue()
    for number in numbers:
        signal.signal(number, lambda received, _: arrived.put(received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)  # the parent may have blocked them
    try:
        yield arrived
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
