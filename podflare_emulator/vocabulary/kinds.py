"""Checks of settings' values; each raises a SettingsError that says what to write."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from podflare_emulator.vocabulary.errors import SettingsError


def one_of(setting: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SettingsError(f"{setting}: expected {', '.join(allowed[:-1])} or {allowed[-1]}, got {value!r}")


def flag(setting: str, value: Any) -> None:
    if type(value) is not bool:  # as truth values, "no" and 0 would mean opposite things
        raise SettingsError(f"{setting}: expected True or False, got {value!r}")


def whole_number(setting: str, value: Any, expected: str, *, most: int | None = None) -> None:
    """Checks for a whole number from 0 to `most`."""
    if type(value) is not int or value < 0 or (most is not None and value > most):
        raise SettingsError(f"{setting}: expected {expected}, got {value!r}")


def http_url(setting: str, value: Any) -> None:
    try:
        parts = urlsplit(value)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")  # raises a ValueError for what no name server can be asked
    except (AttributeError, TypeError, ValueError):
        well_formed = False
    if not well_formed:
        raise SettingsError(f"{setting}: expected a URL such as http://127.0.0.1:8000/hook, got {value!r}")
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise SettingsError(f"{setting}: percent-encode spaces and what is not ASCII, got {value!r}")


def several(setting: str, value: Any, example: str) -> tuple[Any, ...]:
    """Checks for a sequence, but refuses a string, which would be a sequence of letters."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise SettingsError(f"{setting}: expected a tuple such as {example}, got {_shown(setting, value)}")
    return tuple(value)


def variables(setting: str, value: Any) -> dict[str, str]:
    """Checks environment variables. The values may be secrets, so messages do not show them."""
    if not isinstance(value, Mapping):
        raise SettingsError(f"{setting}: expected a dict such as {{'TZ': 'UTC'}}, got {type(value).__name__}")
    for name, text in value.items():
        if not isinstance(name, str) or not name or set(name) & set("=\0 \n"):
            raise SettingsError(f"{setting}: expected the name of a variable, such as TZ, got {name!r}")
        if _is_the_sandboxes(name):
            raise SettingsError(f"{setting}: {name} is the sandbox's own; set it in the code that you run")
        if not isinstance(text, str) or "\0" in text:
            raise SettingsError(
                f"{setting}: {name}: expected a string without NUL characters, got {type(text).__name__}"
            )
    return dict(value)


def addresses(setting: str, value: Any) -> tuple[tuple[str, int], ...]:
    """Checks addresses on this machine's loopback; "localhost" means the IPv4 one."""
    example = "('127.0.0.1', 8080)"
    return tuple(_address(setting, entry, example) for entry in several(setting, value, f"[{example}]"))


def _address(setting: str, entry: Any, example: str) -> tuple[str, int]:
    try:
        host, port = entry
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except (TypeError, ValueError):
        raise SettingsError(f"{setting}: expected addresses such as {example}, got {entry!r}") from None
    if not address.is_loopback:
        raise SettingsError(
            f"{setting}: expected a loopback address, such as {example}, got {entry!r}: other ones need no setting"
        )
    if type(port) is not int or not 0 < port < 65536:
        raise SettingsError(f"{setting}: expected a port from 1 to 65535, got {entry!r}")
    return str(address), port


def _is_the_sandboxes(name: str) -> bool:
    """Whether the sandbox needs this variable to find its files, its commands or, without namespaces, its root."""
    return name in _SANDBOXES or name.startswith(("FAKECHROOT", "PODFLARE_PORTABLE", "PODFLARE_SANDBOX"))


_SANDBOXES = {"BASH_ENV", "ENV", "HOME", "LD_LIBRARY_PATH", "LD_PRELOAD", "PATH", "PWD", "TMPDIR"}


def _shown(setting: str, value: Any) -> str:
    return type(value).__name__ if "key" in setting else repr(value)
