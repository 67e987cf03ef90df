"""`sqlite3`: a connection is of the type that `sqlite3.Connection` names, and opens the sandbox's file."""

from __future__ import annotations

from .. import calls

TYPE_CHECKING = False  # as in `typing`
if TYPE_CHECKING:
    from typing import Any

__tracebackhide__ = True  # which pytest asks

_FACTORY = 5  # which argument of `connect`, where they are not named


def dress(module: Any) -> dict[str, Any]:
    native = module.Connection
    connection: Any = type(
        "Connection",
        (native,),
        {
            "__slots__": (),
            "__init__": calls.of_keyword(native.__init__, "database", first=1),
            "__module__": native.__module__,
            "__doc__": native.__doc__,
        },
    )
    connect = module.connect

    def connect_mapped(*args: Any, **kwargs: Any) -> Any:
        if len(args) <= _FACTORY:
            kwargs.setdefault("factory", connection)
        return connect(*args, **kwargs)

    return {"Connection": connection, "connect": calls.stand_in(connect, connect_mapped)}
