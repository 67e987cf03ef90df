"""The command `podflare-emulator`: serves until it is told to end, or reports what this machine can do."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, NoReturn

from podflare_emulator.vocabulary.settings import Mount, Settings, SettingsError

PROGRAM = "podflare-emulator"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv`, by default the process's own arguments.

    Returns:
        0 after SIGINT or SIGTERM; 2, with one line on stderr, when it cannot start; of `doctor`, its verdict.

    Raises:
        SystemExit: `--help`, or (2, with one line on stderr) arguments that cannot be parsed.
    """
    arguments = vars(_parser().parse_args(argv))
    if arguments.pop("version", False):
        from importlib.metadata import version

        _print(f"{PROGRAM} {version(PROGRAM)}")
        return 0
    command = arguments.pop("command")
    try:
        settings = _settings(arguments)
    except SettingsError as error:
        return _refuse(str(error))
    if command == "doctor":
        from podflare_emulator.command import doctor

        return doctor.run(settings)
    return _serve(settings)


def _serve(settings: Settings) -> int:
    # Late: a wrong argument should not wait for the server's imports.
    from podflare_emulator.handle.emulator import Emulator, EmulatorError
    from podflare_emulator.vocabulary.logs import log_to_stderr

    log_to_stderr(settings.log_format)
    with _signals(signal.SIGINT, signal.SIGTERM) as arrived:
        try:
            with Emulator(settings, server="thread") as emulator:  # this process is its own
                isolation = emulator.describe_isolation()
                _print(
                    f"Podflare emulator, isolation: {isolation}, listening on {emulator.url}\n{emulator.describe()}"
                )
                arrived.get()
        except EmulatorError as error:
            return _refuse(str(error))
    return 0


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
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)  # whoever started it may have blocked them
    try:
        yield arrived
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)


def _print(text: str) -> None:
    try:
        print(text, flush=True)  # noqa: T201 (the command's output)
    except OSError:
        # Nobody reads it: no reason to stop serving. Python flushes once more at exit, and would fail then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse(message: str) -> int:
    print(f"{PROGRAM}: {_one_line(message)}", file=sys.stderr)  # noqa: T201
    return 2


def _one_line(message: str) -> str:
    return " ".join(message.split())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Refuse in one line, without argparse's dump of the usage."""
        self.exit(2, f"{self.prog}: {_one_line(message)} (see {self.prog} --help)\n")


def _parser() -> _Parser:
    # What is not given is not in the result, so that environment and defaults can have their say.
    parser = _Parser(
        prog=PROGRAM,
        description="Podflare's API on this machine, for offline tests. Programs find it by PODFLARE_HOST.",
        epilog="environment: PODFLARE_API_KEYS (comma-separated), PODFLARE_AUTH_DISABLED=1, "
        "PODFLARE_HOSTD_ADDR=host:port, PODFLARE_LOG_FORMAT=json; an option wins over its variable.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "command",
        nargs="?",
        choices=["doctor"],
        default=None,
        help="doctor: print which isolation works here, and why",
    )
    add("--host", metavar="HOST", help="address to listen on (default 127.0.0.1)")
    add("--port", type=int, metavar="PORT", help="port to listen on; 0 picks one (default 7070)")
    add(
        "--isolation",
        metavar="auto|namespace|preload|portable",
        help="how sandboxes are kept apart (default auto)",
    )
    add("--fork", metavar="live|replay", help="how a sandbox is forked (default live)")
    add(
        "--python",
        metavar="PATH",
        help="interpreter of the sandboxes (default: the one that runs the emulator)",
    )
    add(
        "--mount",
        dest="mounts",
        action="append",
        metavar="HOST_PATH:SANDBOX_PATH",
        help="copy a file or folder into every new sandbox, such as ./data:/data; repeatable",
    )
    add(
        "--api-key",
        dest="api_keys",
        action="append",
        metavar="KEY",
        help="require a key; repeatable, and visible in process lists: PODFLARE_API_KEYS is not",
    )
    add(
        "--allow-host",
        dest="allow_hosts",
        action="append",
        metavar="NAME",
        help="answer to this Host name too; repeatable",
    )
    add(
        "--no-egress",
        dest="egress",
        action="store_false",
        help="cut every sandbox off the network, whatever is asked for",
    )
    add(
        "--egress-unenforced",
        action="store_true",
        help="make sandboxes without egress even where nothing keeps them off the network",
    )
    add(
        "--network",
        metavar="auto|private|host",
        help="whose network sandboxes have: each its own, or all the machine's (default auto: their own where there "
        "is a way out of it)",
    )
    add(
        "--reachable",
        action="append",
        metavar="HOST:PORT",
        help="let sandboxes with a network of their own reach this server of the machine's loopback, such as "
        "127.0.0.1:8080; repeatable",
    )
    add(
        "--files-on-disk",
        action="store_true",
        help="keep sandboxes' files in the temp directory, not in memory (up to half of it, under namespace)",
    )
    add(
        "--env",
        action="append",
        metavar="NAME[=VALUE]",
        help="put a variable into every sandbox's environment, without a value the one that it has here; repeatable",
    )
    add(
        "--profile",
        metavar="local|hosted",
        help="how long calls take: as long as they do here, or at least as the vendor publishes (default local)",
    )
    add(
        "--seed",
        type=int,
        metavar="N",
        help="draw ids, and whatever else is left to chance, from this: the same after every start and reset",
    )
    add("--log-format", metavar="text|json", help="of the lines on stderr (default text)")
    add("--version", action="store_true", help="print the version and exit")
    return parser


def _settings(arguments: dict[str, Any]) -> Settings:
    overrides = dict(arguments)
    if "mounts" in overrides:
        overrides["mounts"] = tuple(Mount.parse(text) for text in overrides["mounts"])
    for repeatable in ("api_keys", "allow_hosts"):
        if repeatable in overrides:
            overrides[repeatable] = tuple(overrides[repeatable])
    if "env" in overrides:
        overrides["env"] = dict(map(_variable, overrides["env"]))
    if "reachable" in overrides:
        overrides["reachable"] = tuple(map(_address, overrides["reachable"]))
    return Settings.from_environment(os.environ, **overrides)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal():
        raise SettingsError(f"reachable: expected HOST:PORT, such as 127.0.0.1:8080, got {text!r}")
    return host.strip("[]"), int(port)


def _variable(text: str) -> tuple[str, str]:
    name, given, value = text.partition("=")
    if given:
        return name, value
    try:
        return name, os.environ[name]
    except KeyError:
        raise SettingsError(f"env: {name} is not set here; set it, or write {name}=VALUE") from None
