"""The settings of one emulator, checked once, when they are made, so that all other code can trust them."""

import ipaddress
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, get_args

from podflare_emulator.vocabulary.errors import SettingsError as SettingsError
from podflare_emulator.vocabulary.kinds import (
    addresses,
    flag,
    http_url,
    one_of,
    several,
    variables,
    whole_number,
)
from podflare_emulator.vocabulary.mounts import Mount as Mount
from podflare_emulator.vocabulary.regions import REGIONS
from podflare_emulator.vocabulary.templates import Template, checked

Isolation = Literal["auto", "namespace", "preload", "portable"]
ForkEngine = Literal["live", "replay"]
ForkFiles = Literal["auto", "layers", "copy"]
LogFormat = Literal["text", "json"]
Network = Literal["auto", "private", "host"]
Profile = Literal["local", "hosted"]
ClockKind = Literal["real", "manual", "skipping"]
TierName = Literal["free", "pro", "scale"]
EgressDenied = Literal["refuse", "drop"]


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
    """The address by which this machine reaches a server that listens on `host`, which may mean all interfaces."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


class Changes(TypedDict, total=False):
    """Fields of `Settings`, as `Emulator` takes them."""

    host: str
    port: int
    isolation: Isolation
    fork: ForkEngine
    fork_files: ForkFiles
    python: "str | os.PathLike[str] | None"
    rootfs: "str | os.PathLike[str] | None"
    mounts: Sequence[Mount | str]
    api_keys: Sequence[str]
    auth_disabled: bool
    allow_hosts: Sequence[str]
    log_format: LogFormat
    pool_size: int
    egress: bool
    egress_denied: EgressDenied
    egress_unenforced: bool
    network: Network
    reachable: Sequence[tuple[str, int]]
    echo_last_expression: bool
    files_on_disk: bool
    profile: Profile
    clock: ClockKind
    tier: TierName
    webhook_url: str | None
    state_dir: "str | os.PathLike[str] | None"
    region: str | None
    endpoint: str | None
    seed: int | None
    env: Mapping[str, str]
    templates: Mapping[str, Any]
    fork_engine: ForkEngine  # deprecated: the old name of `fork`


@dataclass(frozen=True, slots=True)
class Settings:
    """One emulator's settings.

    Attributes:
        host: Address or name to listen on. One that is not loopback needs `api_keys` or `auth_disabled`.
        port: TCP port; 0 lets the kernel pick one.
        isolation: How sandboxes are isolated; `auto` takes the best that works here.
        fork: How a sandbox is forked: `live`, or by `replay` of the code that it has run.
        fork_files: How a live fork's children get their files: by `layers` that they share with the parent, or each
            by a `copy`; `auto` takes layers if they are available and there is much data. Layers need namespace
            isolation.
        rootfs: Directory or tar file (as from `docker export`) with the root filesystem of every sandbox, including
            Python (3.10 or later) and bash; None for the host's. Needs namespace isolation.
        python: Path of the guests' interpreter, in `rootfs` if there is one; None for the one that is running (in
            `rootfs`: its python3). A relative path, or a name on PATH, is made absolute.
        mounts: Files and directories that are copied into every new sandbox; each may be a string such as
            "./data:/data".
        api_keys: Keys; each request must carry one of them. Without any, there is no authentication.
        auth_disabled: Accept requests without a key, whatever `api_keys` says.
        allow_hosts: `Host` names to answer to, in addition to the loopback ones, without a port.
        log_format: Format of the log lines on stderr.
        pool_size: Number of guests kept ready for the next create.
        egress: False cuts every sandbox off the network, whatever a create asks for.
        egress_denied: What happens to connections out of a sandbox without egress: `refuse` fails them at once;
            `drop` lets them time out, as on the service.
        egress_unenforced: Create sandboxes without egress even if they cannot be cut off the network.
        network: The network of sandboxes: each has its own with `private`, or all have the machine's with `host`;
            `auto` takes private ones if they are available with a way out.
        reachable: Servers on this machine's loopback, such as `("127.0.0.1", 8080)`, that sandboxes with their own
            network find at the same address inside.
        echo_last_expression: Print the `repr` of a last line that is an expression, as Jupyter does.
        files_on_disk: Keep the files of sandboxes in the temp directory. Namespace isolation keeps them in memory
            otherwise (up to half of the machine's).
        profile: How long calls take: `local`, as fast as possible; `hosted`, at least as long as the vendor
            publishes.
        clock: The clock of the emulator: `real`; `manual`, which stands still until it is advanced; `skipping`, which
            also stands still, but when a call waits moves on at once to the end of that wait.
        tier: The billing tier of the service whose limits sandboxes have: resources and lifetimes.
        webhook_url: Where to send events such as `sandbox.frozen`; None: only record them.
        state_dir: Directory in which Spaces outlive the emulator, made if it does not exist; None: they end with it.
        region: The region that the answer to a create names; None: none.
        endpoint: The URL that this answer names; published clients move to it, and remember it. None: none.
        env: Variables for every sandbox's processes, in addition to their own; nothing else of the host's
            environment reaches them.
        templates: Templates in addition to the service's, by name: dicts with the fields of `Template`.
        seed: Makes ids and other random choices the same after every start and reset; None: they differ.

    Raises:
        SettingsError: A value cannot be used. The message says which, why, and what can be.
    """

    host: str = "127.0.0.1"
    port: int = 7070
    isolation: Isolation = "auto"
    fork: ForkEngine = "live"
    fork_files: ForkFiles = "auto"
    python: str | None = None
    rootfs: str | None = None
    mounts: tuple[Mount, ...] = ()
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    auth_disabled: bool = False
    allow_hosts: tuple[str, ...] = ()
    log_format: LogFormat = "text"
    pool_size: int = 4
    egress: bool = True
    egress_denied: EgressDenied = "refuse"
    egress_unenforced: bool = False
    network: Network = "auto"
    reachable: tuple[tuple[str, int], ...] = ()
    echo_last_expression: bool = False
    files_on_disk: bool = False
    profile: Profile = "local"
    clock: ClockKind = "real"
    tier: TierName = "scale"
    webhook_url: str | None = None
    state_dir: str | None = None
    region: str | None = None
    endpoint: str | None = None
    seed: int | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    templates: Mapping[str, Template] = field(default_factory=dict, repr=False, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.host, str) or not self.host or set(self.host) & set("/[] "):
            raise SettingsError(f"host: expected an address or a name to listen on, got {self.host!r}")
        whole_number("port", self.port, "0 to 65535", most=65535)
        whole_number("pool size", self.pool_size, "0 or more")
        if self.seed is not None:
            whole_number("seed", self.seed, "a whole number from 0, such as 7")
        one_of("isolation", self.isolation, get_args(Isolation))
        one_of("fork", self.fork, get_args(ForkEngine))
        one_of("network", self.network, get_args(Network))
        one_of("fork files", self.fork_files, get_args(ForkFiles))
        self._check_layers()
        one_of("log format", self.log_format, get_args(LogFormat))
        one_of("profile", self.profile, get_args(Profile))
        one_of("clock", self.clock, get_args(ClockKind))
        one_of("tier", self.tier, get_args(TierName))
        if self.region is not None:
            one_of("region", self.region, REGIONS)
        for name in ("webhook_url", "endpoint"):
            if getattr(self, name) is not None:
                http_url(name.replace("_", " "), getattr(self, name))
        one_of("egress denied", self.egress_denied, get_args(EgressDenied))
        for name in ("auth_disabled", "egress", "egress_unenforced", "echo_last_expression", "files_on_disk"):
            flag(name, getattr(self, name))
        object.__setattr__(self, "env", variables("env", self.env))
        object.__setattr__(self, "reachable", addresses("reachable", self.reachable))
        self._check_state_dir()
        object.__setattr__(self, "templates", checked(self.templates))
        self._check_rootfs()
        self._check_python()
        self._check_mounts()
        self._check_access()

    def _check_layers(self) -> None:
        if self.fork_files != "layers":
            return
        if self.isolation in ("preload", "portable"):
            raise SettingsError(
                f"fork files: {self.isolation} isolation has no layers; give isolation namespace, or fork files auto "
                "or copy"
            )
        if self.fork == "replay":
            raise SettingsError(
                "fork files: a fork by replay shares no layers; give fork live, or omit fork files"
            )

    def _check_state_dir(self) -> None:
        if self.state_dir is None:
            return
        if not isinstance(self.state_dir, (str, os.PathLike)):
            raise SettingsError(f"state dir: expected a path such as ./spaces, got {self.state_dir!r}")
        path = os.path.abspath(os.fspath(self.state_dir))
        try:
            os.makedirs(path, mode=0o700, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"state dir: {path!r} cannot be made: {error.strerror}") from None
        if not os.access(path, os.W_OK | os.X_OK):
            raise SettingsError(f"state dir: {path!r} cannot be written to")
        object.__setattr__(self, "state_dir", path)

    def _check_rootfs(self) -> None:
        if self.rootfs is None:
            return
        if not isinstance(self.rootfs, (str, os.PathLike)):
            raise SettingsError(
                f"rootfs: expected a directory or a tar file such as ./ubuntu, got {self.rootfs!r}"
            )
        path = os.path.realpath(self.rootfs)
        if not os.path.isdir(path) and not os.path.isfile(path):
            raise SettingsError(f"rootfs: {path!r} is neither a directory nor a tar file")
        if path == "/":
            raise SettingsError("rootfs: / is the host's own system, which is the default; omit rootfs")
        if self.isolation in ("preload", "portable"):
            raise SettingsError(
                f"rootfs: {self.isolation} isolation uses the host's system; give isolation namespace"
            )
        object.__setattr__(self, "rootfs", path)

    def _check_python(self) -> None:
        if self.python is None:
            return
        if self.rootfs is not None and isinstance(self.python, (str, os.PathLike)):
            object.__setattr__(self, "python", os.fspath(self.python))  # a path or name inside it
            return
        if not isinstance(self.python, (str, os.PathLike)):
            raise SettingsError(f"python: expected a path such as /usr/bin/python3, got {self.python!r}")
        found = shutil.which(os.fspath(self.python))
        if found is None:
            raise SettingsError(f"python: no executable file {self.python!r}")
        # Not resolved: a virtual environment's link points at an interpreter without its packages.
        object.__setattr__(self, "python", os.path.abspath(found))

    def _check_mounts(self) -> None:
        mounts = several("mounts", self.mounts, "('./data:/data',)")
        object.__setattr__(self, "mounts", tuple(map(_mount, mounts)))
        targets = [mount.target for mount in self.mounts]
        for target in targets:
            if targets.count(target) > 1:
                raise SettingsError(f"mount: the sandbox path {target!r} is given twice")

    def _check_access(self) -> None:
        object.__setattr__(self, "api_keys", several("api_keys", self.api_keys, "('pk_test',)"))
        object.__setattr__(self, "allow_hosts", several("allow_hosts", self.allow_hosts, "('devbox',)"))
        for key in self.api_keys:
            # A key travels in a header. An empty one must not be taken for "no key configured".
            if (
                not isinstance(key, str)
                or not key
                or not key.isascii()
                or not key.isprintable()
                or " " in key
            ):
                raise SettingsError("api key: expected printable ASCII without spaces, and not empty")
        for name in self.allow_hosts:
            is_name = isinstance(name, str) and bool(name) and not set(name) & set("/*@, ")
            if not is_name or (":" in name and not _is_address(name)):
                raise SettingsError(f"allow host: expected a bare name such as devbox, no port, got {name!r}")
        if not (is_loopback(self.host) or self.api_keys or self.auth_disabled):
            raise SettingsError(
                f"host: {self.host} is not loopback, so anybody on the network could run code here: "
                "give --api-key or set PODFLARE_API_KEYS (or PODFLARE_AUTH_DISABLED=1 to let everybody in)"
            )

    @property
    def fork_engine(self) -> ForkEngine:
        """Deprecated: the old name of `fork`."""
        _warn_of_fork_engine(of=3)
        return self.fork

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], **overrides: Any) -> "Settings":
        """Read the variables that configure the service's own server; an empty variable counts as unset.

        Args:
            environ: `PODFLARE_API_KEYS` (comma-separated), `PODFLARE_AUTH_DISABLED` (1),
                `PODFLARE_HOSTD_ADDR` (host:port), `PODFLARE_LOG_FORMAT` (text or json).
            overrides: Fields of `Settings` from elsewhere; each takes precedence over its variable.
        """
        values: dict[str, Any] = {}
        if address := environ.get("PODFLARE_HOSTD_ADDR"):
            values["host"], values["port"] = _address(address)
        if keys := environ.get("PODFLARE_API_KEYS"):
            values["api_keys"] = tuple(key.strip() for key in keys.split(",") if key.strip())
        if disabled := environ.get("PODFLARE_AUTH_DISABLED"):
            one_of("PODFLARE_AUTH_DISABLED", disabled, ("0", "1"))
            values["auth_disabled"] = disabled == "1"
        if log_format := environ.get("PODFLARE_LOG_FORMAT"):
            one_of("PODFLARE_LOG_FORMAT", log_format, get_args(LogFormat))
            values["log_format"] = log_format
        return cls(**(values | overrides))


def _mount(given: Any) -> Mount:
    if isinstance(given, Mount):
        return given
    if isinstance(given, str):
        return Mount.parse(given)
    raise SettingsError(f"mounts: expected strings such as './data:/data', or Mount, got {given!r}")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    # Some programs take ":7070" for every interface and others for loopback, so it is refused.
    if not host or not port.isascii() or not port.isdigit() or (":" in host and not bracketed):
        raise SettingsError(
            f"PODFLARE_HOSTD_ADDR: expected host:port such as 127.0.0.1:7070 or [::1]:7070, got {text!r}"
        )
    return (host[1:-1] if bracketed else host), int(port)


def with_present_names(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Renames fields that are given by their name in the last release."""
    present = dict(changes)
    if "fork_engine" in present:
        _warn_of_fork_engine(of=4)
        present["fork"] = present.pop("fork_engine")
    unknown = present.keys() - {*Settings.__dataclass_fields__}
    if unknown:
        from difflib import get_close_matches  # late: seldom needed

        (name, *_) = sorted(unknown)
        near = get_close_matches(name, Settings.__dataclass_fields__, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(Settings.__dataclass_fields__)}"
        raise SettingsError(f"{name}: no such setting; {hint}")
    return present


def _warn_of_fork_engine(*, of: int) -> None:
    """`of`: the stack level of the code that uses the old name."""
    warnings.warn("fork_engine is called fork now", DeprecationWarning, stacklevel=of)
