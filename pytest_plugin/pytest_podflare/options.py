"""The settings of a run: command line, then environment, then ini file; checked once, at its start.

Every test run loads this, with Podflare or without, so it imports nothing that pytest has not imported already.
"""

import os
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import urlsplit

import pytest

LEAK_POLICIES = ("ignore", "warn", "error")


class Setting(NamedTuple):  # made faster than a dataclass, which matters as every test run waits for it
    """`--podflare-<name>`, `PODFLARE_TEST_<NAME>`, and `podflare_<name>` in the ini file."""

    name: str
    metavar: str
    help: str
    choices: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        return f"--podflare-{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        return f"PODFLARE_TEST_{self.name.upper()}"

    @property
    def key(self) -> str:
        return f"podflare_{self.name}"


SETTINGS = (
    Setting(
        "server",
        "process|thread",
        "where the emulator runs: in its own process, or in a thread of the tests' process, which the tests then "
        "must not patch (default process)",
        ("process", "thread"),
    ),
    Setting(
        "isolation",
        "auto|namespace|preload|portable",
        "how sandboxes are isolated (default auto)",
    ),
    Setting("fork", "live|replay", "how a sandbox is forked (default live)", ("live", "replay")),
    Setting(
        "fork_files",
        "auto|layers|copy",
        "how forks get their files: layers shared with the parent, or copies (default auto: layers for much data)",
        ("auto", "layers", "copy"),
    ),
    Setting("rootfs", "DIR", "root filesystem of every sandbox (default: this machine's)"),
    Setting("python", "PATH", "interpreter of the sandboxes (default: the one that runs the tests)"),
    Setting(
        "egress",
        "yes|no",
        "whether sandboxes reach the network, unless a marker says otherwise (default yes)",
        ("yes", "no"),
    ),
    Setting(
        "network",
        "auto|private|host",
        "network of the sandboxes: private to each, or the machine's for all (default auto)",
    ),
    Setting(
        "egress_denied",
        "refuse|drop",
        "what happens to connections without egress: fail at once, or time out as on the service (default refuse)",
        ("refuse", "drop"),
    ),
    Setting(
        "echo_last_expression",
        "yes|no",
        "whether to print the value of a last line that is an expression, unless a marker says otherwise (default no)",
        ("yes", "no"),
    ),
    Setting(
        "profile",
        "local|hosted",
        "how long calls take: as fast as possible, or at least as long as the vendor publishes (default local)",
        ("local", "hosted"),
    ),
    Setting("templates", "FILE", "your own templates, in TOML (default none)"),
    Setting("seed", "N", "seed for ids and all other random choices of the emulator"),
    Setting(
        "log",
        "off|error|warning|info",
        "least level of the server's log lines that a failing test's report shows (default off)",
        ("off", "error", "warning", "info"),
    ),
    Setting(
        "leaks",
        "ignore|warn|error",
        "what to do about a sandbox that a test leaves open; it is destroyed in any case (default warn)",
        LEAK_POLICIES,
    ),
    Setting(
        "allow_hosts",
        "HOST,...",
        "hosts that podflare clients of the tests may connect to, in addition to the emulator and this machine; "
        "* for any (default none; with --podflare-url any)",
    ),
    Setting(
        "url",
        "URL",
        "run the tests against this server instead of the emulator, for example the real service",
    ),
    Setting(
        "api_key_env",
        "NAME",
        "environment variable that holds the key for --podflare-url (default PODFLARE_API_KEY)",
    ),
)

_YES, _NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")  # as in pytest's own settings

_OF_THE_EMULATOR = {"isolation", "network", "python", "rootfs", "seed"}  # the emulator checks their values


class Options(NamedTuple):
    """`url`: None for the emulator."""

    server: Literal["process", "thread"]
    isolation: str
    fork: Literal["live", "replay"]
    fork_files: Literal["auto", "layers", "copy"]
    rootfs: str | None
    python: str | None
    egress: bool
    network: str
    egress_denied: Literal["refuse", "drop"]
    echo_last_expression: bool
    profile: Literal["local", "hosted"]
    templates: Mapping[str, Any]
    seed: int | None
    log: Literal["off", "error", "warning", "info"]
    leaks: Literal["ignore", "warn", "error"]
    allow_hosts: tuple[str, ...]
    url: str | None
    api_key: str | None


def declare(parser: pytest.Parser) -> None:
    group = parser.getgroup("podflare", "Podflare sandboxes")
    for setting in SETTINGS:
        group.addoption(setting.option, metavar=setting.metavar, default=None, help=setting.help)
        parser.addini(setting.key, f"as {setting.option}", default=None)


def read(config: pytest.Config) -> Options:
    """Raises pytest.UsageError for an invalid value."""
    values = {setting.name: _value(config, setting) for setting in SETTINGS}
    given = {name: value for name, (value, _) in values.items() if value}
    url = given.get("url")
    key_variable, key_source = values["api_key_env"]
    # From the ini file or the environment it is for those runs that have a URL.
    if key_variable and not url and key_source.startswith("--"):
        raise pytest.UsageError(f"{key_source}: the emulator needs no key; give --podflare-url URL too")
    if url:
        _check_url(url, values["url"][1])
    seed = given.get("seed", "")
    numbers = {"seed": int(seed)} if seed.isdecimal() else {}
    for name in _OF_THE_EMULATOR & given.keys():
        _check_emulators(name, numbers.get(name, given[name]), values[name][1])
    return Options(
        server=cast(Any, given.get("server", "process")),
        isolation=given.get("isolation", "auto"),
        fork=cast(Any, given.get("fork", "live")),
        fork_files=cast(Any, given.get("fork_files", "auto")),
        rootfs=given.get("rootfs"),
        python=given.get("python"),
        egress=given.get("egress") != "no",
        network=given.get("network", "auto"),
        egress_denied=cast(Any, given.get("egress_denied", "refuse")),
        echo_last_expression=given.get("echo_last_expression") == "yes",
        profile=cast(Any, given.get("profile", "local")),
        templates=_templates(config, *values["templates"]),
        seed=numbers.get("seed"),
        log=cast(Any, given.get("log", "off")),
        leaks=cast(Any, given.get("leaks", "warn")),
        allow_hosts=tuple(filter(None, map(str.strip, given.get("allow_hosts", "").split(",")))),
        url=url,
        api_key=_api_key(url, key_variable) if url else None,
    )


def _value(config: pytest.Config, setting: Setting) -> tuple[str | None, str]:
    """The value, and where it comes from."""
    sources = (
        (config.getoption(setting.option), setting.option),
        (os.environ.get(setting.variable), f"environment variable {setting.variable}"),
        (_ini(config, setting.key), f"{setting.key} in {config.inipath or 'the ini file'}"),
    )
    for value, source in sources:
        if value is None or (value == "" and source != setting.option):
            continue
        if setting.choices == ("yes", "no"):
            value = "yes" if value.lower() in _YES else "no" if value.lower() in _NO else value
        if not value or (setting.choices and value not in setting.choices):
            raise pytest.UsageError(f"{source}: expected {_expected(setting)}, got {value!r}")
        return value, source
    return None, ""


def _ini(config: pytest.Config, key: str) -> str | None:
    """The value as a string: from a typed file (TOML), pytest 9 accepts only strings here."""
    try:
        value = config.getini(key)
    except (TypeError, ValueError, pytest.UsageError):
        settings: Any = (
            getattr(config, "_inicfg", None) or config.inicfg
        )  # one is pytest 9's, one is before it
        value = getattr(settings[key], "value", settings[key])
        if not isinstance(value, (bool, int)):
            raise pytest.UsageError(f"{key} in {config.inipath}: expected a string, got {value!r}") from None
    return value if value is None else str(value)


def _expected(setting: Setting) -> str:
    if not setting.choices:
        return setting.metavar
    return f"{', '.join(setting.choices[:-1])} or {setting.choices[-1]}"


def _check_url(url: str, source: str) -> None:
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path in ("", "/")
        well_formed = well_formed and parts.port != 0  # a port beyond 65535 is a ValueError
    except ValueError:
        well_formed = False
    if not well_formed:
        raise pytest.UsageError(
            f"{source}: expected a server's URL such as http://127.0.0.1:7070, got {url!r}"
        )


def _check_emulators(name: str, value: str | int, source: str) -> None:
    from podflare_emulator.vocabulary.settings import Settings, SettingsError

    try:
        Settings(**cast(Any, {name: value}))
    except SettingsError as error:
        raise pytest.UsageError(f"{source}: {error}") from None


def _templates(config: pytest.Config, path: str | None, source: str) -> Mapping[str, Any]:
    """A path is relative to the folder of the ini file, as in pytest's own settings."""
    if not path:
        return {}
    from podflare_emulator.vocabulary.settings import SettingsError
    from podflare_emulator.vocabulary.templates import read_file

    try:
        return read_file(config.rootpath / path)
    except SettingsError as error:
        raise pytest.UsageError(f"{source}: {error}") from None


def _api_key(url: str, variable: str | None) -> str | None:
    from podflare_emulator.vocabulary.settings import is_loopback

    key = os.environ.get(variable or "PODFLARE_API_KEY")
    if not key and (variable or not is_loopback(urlsplit(url).hostname or "")):
        raise pytest.UsageError(
            f"--podflare-url {url} needs a key: set the environment variable {variable or 'PODFLARE_API_KEY'}"
            + ("" if variable else ", or name the one that holds it with --podflare-api-key-env NAME")
        )
    return key
