"""How one emulator runs: checked once, where it is built, so that all behind it can trust the values."""

import ipaddress
import os
import posixpath
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

Isolation = Literal["auto", "namespace", "preload", "portable"]
ForkEngine = Literal["live", "replay"]
LogFormat = Literal["text", "json"]
Profile = Literal["local", "hosted"]

# A mount is copied in, and these are the machine's own directories, kernel filesystems or the sandbox's
# curated ones: a copy there would be hidden, refused or, without isolation, land on the host.
SYSTEM_DIRECTORIES = (
    *("/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/boot"),
    *("/etc", "/dev", "/proc", "/sys", "/run"),
)


class SettingsError(ValueError):
    """The message names the setting, what was given, and what is allowed; it is one line."""


def is_loopback(name: str) -> bool:
    """Whether `name` (a host name, or an address without brackets) can only mean this machine."""
    name = name.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def reachable_host(host: str) -> str:
    """Where a client of this machine finds a server that listens on `host`: "every interface" is no address."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or folder of the host that every new sandbox gets a copy of.

    Attributes:
        source: Absolute path on the host; exists.
        target: Absolute path in the sandbox: normalised, not `/`, not in a system directory.

    Raises:
        SettingsError: One of the two is not so.
    """

    source: str
    target: str

    def __post_init__(self) -> None:
        given = f"mount {self.source + ':' + self.target!r}"
        if not os.path.isabs(self.source):
            raise SettingsError(f"{given}: the host path must be absolute")
        if not Path(self.source).exists():
            raise SettingsError(f"{given}: no such file or folder on the host: {self.source!r}")
        try:
            target = sandbox_path(self.target)
        except SettingsError as error:
            raise SettingsError(f"{given}: {error}") from None
        if self.target != target:
            raise SettingsError(f"{given}: write the sandbox path as {target!r}")

    @classmethod
    def parse(cls, text: str) -> "Mount":
        """Read `HOST_PATH:SANDBOX_PATH`; the last colon divides, and HOST_PATH may be relative to the cwd."""
        source, colon, target = text.rpartition(":")
        if not (colon and source and target):
            raise SettingsError(f"mount {text!r}: expected HOST_PATH:SANDBOX_PATH, such as ./data:/data")
        if target.startswith("/"):
            target = _normalised(target)
        return cls(os.path.abspath(source), target)


def sandbox_path(path: str) -> str:
    """`path`, normalised: where a file or folder of the host's may be put in a sandbox. Raises SettingsError."""
    if not path.startswith("/"):
        raise SettingsError("the sandbox path must be absolute, such as /data")
    path = _normalised(path)
    if path == "/":
        raise SettingsError("the sandbox path must be a name below /, such as /data")
    for directory in SYSTEM_DIRECTORIES:
        if path == directory or path.startswith(directory + "/"):
            raise SettingsError(f"{directory} belongs to the system; choose another, such as /data")
    return path


def _normalised(path: str) -> str:
    # POSIX leaves two leading slashes alone; in a sandbox they mean nothing.
    return "/" + posixpath.normpath(path).lstrip("/")


@dataclass(frozen=True, slots=True)
class Settings:
    """One emulator's settings.

    Attributes:
        host: Address or name to listen on. One that is not loopback needs `api_keys` or `auth_disabled`.
        port: TCP port; 0 lets the kernel pick one.
        isolation: How sandboxes are kept apart; `auto` takes the best that works here.
        fork_engine: How a sandbox is forked.
        python: Absolute path of the guests' interpreter; None for the one that is running. A relative path or
            a name on PATH may be given.
        mounts: What every new sandbox gets a copy of.
        api_keys: Keys of which each request must carry one; none means no authentication.
        auth_disabled: Let everybody in, whatever `api_keys` says.
        allow_hosts: `Host` names to answer to besides the loopback ones, without a port.
        log_format: Of the lines on stderr.
        pool_size: Guests kept ready for the next create.
        egress: False cuts every sandbox off the network, whatever is asked for.
        egress_unenforced: Where sandboxes cannot be cut off the network, make them all the same.
        files_on_disk: Keep what is written in sandboxes in the temp directory, where namespace isolation would keep it
            in memory (up to half of the machine's).
        profile: How long calls take: `local`, as long as they do here; `hosted`, at least as long as the vendor
            publishes.
        seed: What is drawn by chance, such as ids, is the same after every start and reset; None: it is not.

    Raises:
        SettingsError: A value cannot be used; says which, why, and what can.
    """

    host: str = "127.0.0.1"
    port: int = 7070
    isolation: Isolation = "auto"
    fork_engine: ForkEngine = "live"
    python: str | None = None
    mounts: tuple[Mount, ...] = ()
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    auth_disabled: bool = False
    allow_hosts: tuple[str, ...] = ()
    log_format: LogFormat = "text"
    pool_size: int = 4
    egress: bool = True
    egress_unenforced: bool = False
    files_on_disk: bool = False
    profile: Profile = "local"
    seed: int | None = None

    def __post_init__(self) -> None:
        if not self.host or set(self.host) & set("/[] "):
            raise SettingsError(f"host: expected an address or a name to listen on, got {self.host!r}")
        if not 0 <= self.port <= 65535:
            raise SettingsError(f"port: expected 0 to 65535, got {self.port}")
        if self.pool_size < 0:
            raise SettingsError(f"pool size: expected 0 or more, got {self.pool_size}")
        if self.seed is not None and not (type(self.seed) is int and self.seed >= 0):
            raise SettingsError(f"seed: expected a whole number from 0, such as 7, got {self.seed!r}")
        _one_of("isolation", self.isolation, get_args(Isolation))
        _one_of("fork", self.fork_engine, get_args(ForkEngine))
        _one_of("log format", self.log_format, get_args(LogFormat))
        _one_of("profile", self.profile, get_args(Profile))
        self._check_python()
        self._check_mounts()
        self._check_access()

    def _check_python(self) -> None:
        if self.python is None:
            return
        found = shutil.which(self.python)
        if found is None:
            raise SettingsError(f"python: no executable file {self.python!r}")
        # Not resolved: what a virtual environment's link points at is an interpreter without its packages.
        object.__setattr__(self, "python", os.path.abspath(found))

    def _check_mounts(self) -> None:
        targets = [mount.target for mount in self.mounts]
        for target in targets:
            if targets.count(target) > 1:
                raise SettingsError(f"mount: the sandbox path {target!r} is given twice")

    def _check_access(self) -> None:
        for key in self.api_keys:
            # It travels in a header. An empty one must not pass for "no key configured".
            if not key or not key.isascii() or not key.isprintable() or " " in key:
                raise SettingsError("api key: expected printable ASCII without spaces, and not empty")
        for name in self.allow_hosts:
            is_name = bool(name) and not set(name) & set("/*@, ")
            if not is_name or (":" in name and not _is_address(name)):
                raise SettingsError(f"allow host: expected a bare name such as devbox, no port, got {name!r}")
        if not (is_loopback(self.host) or self.api_keys or self.auth_disabled):
            raise SettingsError(
                f"host: {self.host} is not loopback, so anybody on the network could run code here: "
                "give --api-key or set PODFLARE_API_KEYS (or PODFLARE_AUTH_DISABLED=1 to let everybody in)"
            )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], **overrides: Any) -> "Settings":
        """Read the variables of the service's own host; a variable that is empty counts as unset.

        Args:
            environ: `PODFLARE_API_KEYS` (comma-separated), `PODFLARE_AUTH_DISABLED` (1),
                `PODFLARE_HOSTD_ADDR` (host:port), `PODFLARE_LOG_FORMAT` (text or json).
            overrides: Fields of `Settings` that were given otherwise; each wins over its variable.
        """
        values: dict[str, Any] = {}
        if address := environ.get("PODFLARE_HOSTD_ADDR"):
            values["host"], values["port"] = _address(address)
        if keys := environ.get("PODFLARE_API_KEYS"):
            values["api_keys"] = tuple(key.strip() for key in keys.split(",") if key.strip())
        if disabled := environ.get("PODFLARE_AUTH_DISABLED"):
            _one_of("PODFLARE_AUTH_DISABLED", disabled, ("0", "1"))
            values["auth_disabled"] = disabled == "1"
        if log_format := environ.get("PODFLARE_LOG_FORMAT"):
            _one_of("PODFLARE_LOG_FORMAT", log_format, get_args(LogFormat))
            values["log_format"] = log_format
        return cls(**(values | overrides))


def _one_of(setting: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SettingsError(f"{setting}: expected {', '.join(allowed[:-1])} or {allowed[-1]}, got {value!r}")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    # ":7070" would be every interface to some programs and loopback to others: neither is guessed.
    if not host or not port.isascii() or not port.isdigit() or (":" in host and not bracketed):
        raise SettingsError(
            f"PODFLARE_HOSTD_ADDR: expected host:port such as 127.0.0.1:7070 or [::1]:7070, got {text!r}"
        )
    return (host[1:-1] if bracketed else host), int(port)
