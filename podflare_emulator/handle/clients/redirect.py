"""Redirects the clients in this process to another server, and back: environment, and URLs stored in loaded clients.

The published client knows where the service is from strings that were set when it was imported, and from a cache
file in the user's home, of the region that it talked to last, read at that time too. So whatever holds a URL in a
loaded client is replaced by value, and the client is imported, if it must be, where it finds no such file.
"""

from __future__ import annotations

import contextlib
import importlib
import operator
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import FunctionType, ModuleType
from typing import Any
from urllib.parse import urlsplit

from podflare_emulator.vocabulary.settings import is_loopback

_URL_VARIABLES = ("PODFLARE_HOST", "PODFLARE_HOSTD_URL", "PODFLARE_API_URL")
_NO_KEY_NEEDED = "pk_emulator"  # rather than a real one that the environment may hold
_BASE_URL = re.compile(r"https?://[^/?#\s]+/?")

Put = Callable[[str], None]

_ended: dict[str, tuple[str, str | None]] = {}
"""Variables of redirects that are over: the value inside, and the one before."""


@contextlib.contextmanager
def redirect_clients(url: str, api_key: str | None) -> Iterator[None]:
    """Inside, every `podflare` client in this process that is given no host uses `url`."""
    variables = dict.fromkeys(_URL_VARIABLES, url) | {"PODFLARE_API_KEY": api_key or _NO_KEY_NEEDED}
    if is_loopback(host := urlsplit(url).hostname or ""):
        for name in ("NO_PROXY", "no_proxy"):  # a company's proxy cannot reach this machine
            variables[name] = ",".join(filter(None, (os.environ.get(name), host)))
    import_sdk()
    with environment(variables), _loaded_clients(url):
        yield


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Inside, these variables have these values; afterwards, their previous ones."""
    before = {name: os.environ.get(name) for name in variables}
    for name in variables:
        _ended.pop(name, None)  # what is put back from now on may be this redirect's own
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            _put_variable(name, value)
            _ended[name] = (variables[name], value)


def settle_environment() -> None:
    """Call it after a patch of the environment, made within a redirect, was undone after its end.

    What such a patcher has found, and puts back, are the redirect's own values: they go, others stay.
    """
    while _ended:
        name, (ours, before) = _ended.popitem()
        if os.environ.get(name) == ours:
            _put_variable(name, before)


def _put_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def import_sdk() -> ModuleType | None:
    """The installed `podflare`, ours or the vendor's; None if there is none."""
    if "podflare" in sys.modules:
        return sys.modules["podflare"]
    with tempfile.TemporaryDirectory() as home, environment({"HOME": home}):
        try:
            return importlib.import_module("podflare")
        except ModuleNotFoundError as error:
            if error.name != "podflare":
                raise
            return None


@contextlib.contextmanager
def _loaded_clients(url: str) -> Iterator[None]:
    modules = _client_modules()
    settings = {name: _settings(module) for name, module in modules.items()}
    replaced = [place for module in modules.values() for place in _places(module)]
    for put, _ in replaced:
        put(url)
    try:
        yield
    finally:
        for put, value in replaced:
            put(value)
        for name, module in modules.items():
            _restore(module, settings[name])
        for name, module in _client_modules().items():
            # A module imported meanwhile has stored this URL: the next import must load a new one.
            if modules.get(name) is not module and any(value == url for _, value in _places(module)):
                _unload(name, module)


def _client_modules() -> dict[str, ModuleType]:
    return {
        name: module
        for name, module in sys.modules.copy().items()  # at once: other threads may be importing
        if name.partition(".")[0] == "podflare" and isinstance(module, ModuleType)
    }


def _settings(module: ModuleType) -> dict[str, str | None]:
    """Module variables that may hold the server's URL: a URL, or None while there is none."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("__") and (value is None or isinstance(value, str))
    }


def _restore(module: ModuleType, settings: dict[str, str | None]) -> None:
    for name, before in settings.items():
        if _is_base_url(vars(module).get(name)) or _is_base_url(before):
            setattr(module, name, before)


def _unload(name: str, module: ModuleType) -> None:
    del sys.modules[name]
    package, _, attribute = name.rpartition(".")
    if package in sys.modules and getattr(sys.modules[package], attribute, None) is module:
        delattr(sys.modules[package], attribute)


def _places(module: ModuleType) -> Iterator[tuple[Put, str]]:
    """Every place in a module that holds the URL of a server: how to put another one there, and the URL."""
    for name, value in list(vars(module).items()):
        if name.startswith("__"):
            continue
        if _is_base_url(value):
            yield partial(setattr, module, name), value
        elif isinstance(value, dict):
            yield from _places_in_dict(value)
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                yield from _places_in_object(item)
                for field in _named_urls(item):
                    yield partial(_put_named, module, name, index, field), getattr(item, field)
        elif _is_clients(value):
            yield from _places_in_code(value)


def _places_in_dict(values: dict[Any, Any]) -> Iterator[tuple[Put, str]]:
    for key, value in list(values.items()):
        if _is_base_url(value):
            yield partial(operator.setitem, values, key), value


def _places_in_object(item: object) -> Iterator[tuple[Put, str]]:
    if _is_clients(type(item)):
        for name, value in list(getattr(item, "__dict__", {}).items()):
            if _is_base_url(value):
                yield partial(object.__setattr__, item, name), value  # it may be a frozen dataclass


def _named_urls(item: Any) -> list[str]:
    """The fields of one of the client's named tuples that hold a URL."""
    fields = getattr(item, "_fields", ()) if _is_clients(type(item)) else ()
    return [field for field in fields if _is_base_url(getattr(item, field))]


def _put_named(module: ModuleType, name: str, index: int, field: str, value: str) -> None:
    items = list(getattr(module, name))
    items[index] = items[index]._replace(**{field: value})
    setattr(module, name, type(getattr(module, name))(items))


def _places_in_code(code: Any) -> Iterator[tuple[Put, str]]:
    if isinstance(code, type):
        for name, value in list(vars(code).items()):
            if _is_base_url(value):
                yield partial(setattr, code, name), value
            else:
                yield from _places_in_code(getattr(value, "__func__", value))
    elif isinstance(code, FunctionType):
        for index, value in enumerate(code.__defaults__ or ()):
            if _is_base_url(value):
                yield partial(_put_default, code, index), value
        yield from _places_in_dict(code.__kwdefaults__ or {})


def _put_default(function: FunctionType, index: int, value: str) -> None:
    defaults = list(function.__defaults__ or ())
    defaults[index] = value
    function.__defaults__ = tuple(defaults)


def _is_clients(value: object) -> bool:
    """Whether the client defines it, rather than imports it."""
    return str(getattr(value, "__module__", "")).partition(".")[0] == "podflare"


def _is_base_url(value: object) -> bool:
    return isinstance(value, str) and _BASE_URL.fullmatch(value) is not None
