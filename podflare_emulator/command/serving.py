"""The command: serves until it gets a signal, or as long as a program runs."""

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

_ANY_KEY = "pk_emulator"  # for clients that make no call without one


def serve(settings: Settings) -> int:
    """Until SIGINT or SIGTERM; returns 0, or 2 when it cannot start."""
    log_to_stderr(settings.log_format)
    with _signals(signal.SIGINT, signal.SIGTERM) as arrived:
        try:
            with Emulator(settings, server="thread") as emulator:  # this process is its own
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
    """Runs a program whose clients find its own emulator.

    Returns the program's status, 128 + the signal's number if one has ended it, 127 if it is not found, 126 if it
    cannot be started, 2 when the emulator cannot.
    """
    log_to_stderr(settings.log_format, "WARNING")  # the terminal is the program's
    try:
        with Emulator(
            settings
        ) as emulator:  # in a process, out of reach of a Ctrl-C that is meant for the program
            environment = {**os.environ, **_variables(emulator, settings)}
            try:
                return _run(program, environment)
            except OSError as error:
                # A folder of the PATH that may not be read makes of a missing program one that is forbidden.
                found = shutil.which(program[0]) or os.path.exists(program[0])
                refuse(f"exec: {program[0]}: {error.strerror if found else 'not found'}")
                return 126 if found else 127
    except EmulatorError as error:
        return refuse(str(error))


_CLIENTS = {"PODFLARE_HOST": "this SDK", "PODFLARE_API_URL": "the vendor's client"}


def _variables(emulator: Emulator, settings: Settings) -> dict[str, str]:
    """By which both clients find the emulator. A real key is not handed to it."""
    key = settings.api_keys[0] if settings.api_keys else _ANY_KEY
    return {**dict.fromkeys(_CLIENTS, emulator.url), "PODFLARE_API_KEY": key}


def _run(program: Sequence[str], environment: dict[str, str]) -> int:
    process: subprocess.Popen[bytes] | None = None

    def forward(number: int, _: object) -> None:
        if process and not (number == signal.SIGINT and os.isatty(0)):  # which the terminal has sent to both
            process.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    process = subprocess.Popen(program, env=environment)
    status = process.wait()
    return 128 - status if status < 0 else status


@contextmanager
def _signals(*numbers: signal.Signals) -> Iterator["SimpleQueue[int]"]:
    """A queue of the signals that arrive; none, not even a second one, interrupts the code inside.

    Afterwards they are ignored: the process is about to exit, and with 0 however often it is told to.
    """
    # Not blocked and awaited: a mask would be inherited by the guests. A handler interrupts its own thread:
    # `SimpleQueue.put` may interrupt `get`, where an Event's lock could deadlock.
    arrived: SimpleQueue[int] = SimpleQueue()
    for number in numbers:
        signal.signal(number, lambda received, _: arrived.put(received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)  # the parent may have blocked them
    try:
        yield arrived
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
