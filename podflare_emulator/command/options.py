"""The options of the command line, and the settings that they give."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from podflare_emulator.command.printing import PROGRAM, complain, say
from podflare_emulator.vocabulary.settings import Mount, Settings, SettingsError
from podflare_emulator.vocabulary.templates import read_file

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_ENVIRONMENT = (
    "environment: PODFLARE_API_KEYS (comma-separated), PODFLARE_AUTH_DISABLED=1, PODFLARE_HOSTD_ADDR=host:port, "
    "PODFLARE_LOG_FORMAT=json; an option takes precedence over its variable."
)


def parse(argv: Sequence[str]) -> dict[str, Any]:
    """Only the arguments that are given: the environment and the defaults supply the rest.

    `subcommand` is a name or None, and `program` the words after `--`.

    Raises:
        SystemExit: `--help`, or (2, with one line on stderr) arguments that cannot be parsed.
    """
    words, program = list(argv), list[str]()
    if "--" in words:
        end = words.index("--")
        words, program = words[:end], words[end + 1 :]
    parser = _parser()
    parser.refuse_unknown(words)
    arguments = vars(parser.parse_args(words))
    subcommand = arguments.setdefault("subcommand", None)
    if subcommand == "exec" and not program:
        parser.error("exec: write the program to run after --, such as: exec -- pytest")
    if program and subcommand != "exec":
        parser.error(f"{program[0]}: only exec runs a program: {PROGRAM} exec -- {program[0]} ...")
    return {**arguments, "program": program}


def settings(arguments: dict[str, Any]) -> Settings:
    """Raises SettingsError."""
    overrides = dict(arguments)
    if "mounts" in overrides:
        overrides["mounts"] = tuple(Mount.parse(text) for text in overrides["mounts"])
    for repeatable in ("api_keys", "allow_hosts"):
        if repeatable in overrides:
            overrides[repeatable] = tuple(overrides[repeatable])
    if "templates" in overrides:
        overrides["templates"] = read_file(overrides["templates"])
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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Refuse in one line, without argparse's dump of the usage."""
        complain(f"{message} (see {PROGRAM} --help)")
        self.exit(2)

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        if file is None:
            say(self.format_help().rstrip("\n"))
        else:
            super().print_help(file)

    def refuse_unknown(self, words: Sequence[str]) -> None:
        """Refuse an unknown option, before argparse takes its value for a subcommand."""
        options = [option for action in self._actions for option in action.option_strings]
        for word in words:
            if word.startswith("--") and word.partition("=")[0] not in options:
                close = difflib.get_close_matches(word.partition("=")[0], options, n=1)
                self.error(f"unknown option {word}" + (f"; did you mean {close[0]}?" if close else ""))


def _parser() -> _Parser:
    shared = _Parser(add_help=False, argument_default=argparse.SUPPRESS, allow_abbrev=False)
    _add_settings(shared)
    parser = _Parser(
        prog=PROGRAM,
        description="Podflare's API on this machine, for offline tests. Programs find it through PODFLARE_HOST, those "
        "with the vendor's client through PODFLARE_API_URL.",
        epilog=_ENVIRONMENT,
        parents=[shared],
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    subcommands = parser.add_subparsers(title="subcommands", dest="subcommand", metavar="SUBCOMMAND")
    for name, usage, described in _SUBCOMMANDS:
        subcommands.add_parser(
            name,
            usage=f"{PROGRAM} {usage}",
            help=described,
            description=described,
            epilog=_ENVIRONMENT,
            parents=[shared],
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
        )
    return parser


_SUBCOMMANDS = (
    (
        "mcp",
        "mcp [option ...]",
        "serve the Model Context Protocol on standard input and output: sandboxes as tools for a model",
    ),
    ("doctor", "doctor [option ...]", "print which isolation works here, and why"),
    (
        "exec",
        "exec [option ...] -- PROGRAM [argument ...]",
        "run a program with its own emulator, on a free port unless --port is given, and with PODFLARE_HOST and "
        "PODFLARE_API_URL set; exits with the program's status",
    ),
)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--host", metavar="HOST", help="address to listen on (default 127.0.0.1)")
    add("--port", type=int, metavar="PORT", help="port to listen on; 0 picks one (default 7070)")
    add(
        "--isolation",
        metavar="auto|namespace|preload|portable",
        help="how sandboxes are isolated (default auto)",
    )
    add("--fork", metavar="live|replay", help="how a sandbox is forked (default live)")
    add(
        "--fork-files",
        metavar="auto|layers|copy",
        help="how forks get their files: layers shared with the parent, or copies (default auto: layers for much data)",
    )
    add(
        "--rootfs",
        metavar="DIR|TAR",
        help="root filesystem of every sandbox (docker export, mmdebstrap), with its own Python and bash",
    )
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
        help="require a key; repeatable. Visible in process lists, unlike PODFLARE_API_KEYS",
    )
    add(
        "--allow-host",
        dest="allow_hosts",
        action="append",
        metavar="NAME",
        help="accept requests for this Host name too; repeatable",
    )
    add(
        "--no-egress",
        dest="egress",
        action="store_false",
        help="cut every sandbox off from the network, whatever a create asks for",
    )
    add(
        "--egress-denied",
        metavar="refuse|drop",
        help="what happens to connections without egress: fail at once, or time out as on the service (default refuse)",
    )
    add(
        "--egress-unenforced",
        action="store_true",
        help="create sandboxes without egress even if nothing cuts them off from the network",
    )
    add(
        "--echo-last-expression",
        action="store_true",
        help="print the repr of a last line that is an expression, as Jupyter does",
    )
    add(
        "--network",
        metavar="auto|private|host",
        help="network of the sandboxes: private to each, or the machine's for all (default auto: private if it can "
        "be connected to the outside)",
    )
    add(
        "--reachable",
        action="append",
        metavar="HOST:PORT",
        help="let sandboxes with their own network reach this server on the machine's loopback, such as "
        "127.0.0.1:8080; repeatable",
    )
    add(
        "--files-on-disk",
        action="store_true",
        help="keep sandboxes' files in the temp directory, where namespace isolation would use up to half the memory",
    )
    add(
        "--env",
        action="append",
        metavar="NAME[=VALUE]",
        help="put a variable into every sandbox's environment, by default with its value here; repeatable",
    )
    add(
        "--templates",
        metavar="FILE",
        help="your own templates, in TOML: imports, files, variables, a setup, a Python",
    )
    add(
        "--profile",
        metavar="local|hosted",
        help="how long calls take: as fast as possible, or at least as long as the vendor publishes (default local)",
    )
    add(
        "--clock",
        metavar="real|manual|skipping",
        help="clock for lifetimes, delays and time stamps: the machine's, or one that stands still until the "
        "control API moves it, or until a call waits (default real)",
    )
    add(
        "--tier",
        metavar="free|pro|scale",
        help="the billing tier whose limits sandboxes have: lifetime, idle time, memory, disk (default scale)",
    )
    add("--webhook-url", metavar="URL", help="URL to which events such as sandbox.frozen are sent")
    add(
        "--state-dir",
        metavar="DIR",
        help="directory in which Spaces are kept, so that a later emulator can resume them",
    )
    add("--region", metavar="NAME", help="region named in answers (default none)")
    add(
        "--endpoint",
        metavar="URL",
        help="endpoint named in answers; published clients switch to it and remember it (default none)",
    )
    add(
        "--seed",
        type=int,
        metavar="N",
        help="seed for ids and all other random choices, which are then the same after every start and reset",
    )
    add("--log-format", metavar="text|json", help="format of the log lines on stderr (default text)")
