"""Unix sockets, whose names are paths."""

from __future__ import annotations

from .. import calls

TYPE_CHECKING = False  # as in `typing`
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__tracebackhide__ = True  # read by pytest


def dress(module: Any) -> dict[str, Any]:
    kind, unix = module.socket, module.AF_UNIX
    for name in ("bind", "connect", "connect_ex"):
        setattr(kind, name, _to_address(getattr(kind, name), unix))
    kind.sendto = _to_last_address(kind.sendto, unix)
    for name in ("getsockname", "getpeername"):
        setattr(kind, name, _address(getattr(kind, name), unix))
    for name in ("accept", "recvfrom", "recvfrom_into"):
        setattr(kind, name, _with_address(getattr(kind, name), unix))
    return {}


def _to_address(method: Callable[..., Any], unix: int) -> Callable[..., Any]:
    def call(self: Any, address: Any) -> Any:
        return method(self, calls.current().target(address) if self.family == unix else address)

    return _named(call, method)


def _to_last_address(method: Callable[..., Any], unix: int) -> Callable[..., Any]:
    def call(self: Any, data: Any, *rest: Any) -> Any:
        if rest and self.family == unix:
            rest = (*rest[:-1], calls.current().target(rest[-1]))
        return method(self, data, *rest)

    return _named(call, method)


def _address(method: Callable[..., Any], unix: int) -> Callable[..., Any]:
    def call(self: Any) -> Any:
        address = method(self)
        return _shown(address) if self.family == unix else address

    return _named(call, method)


def _with_address(method: Callable[..., Any], unix: int) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result, address = method(self, *args, **kwargs)
        return result, _shown(address) if self.family == unix else address

    return _named(call, method)


def _shown(address: Any) -> Any:
    return calls.current().virtual(address) if isinstance(address, str) else address


def _named(call: Callable[..., Any], method: Callable[..., Any]) -> Callable[..., Any]:
    call.__name__, call.__qualname__, call.__doc__ = method.__name__, method.__qualname__, method.__doc__
    return call
