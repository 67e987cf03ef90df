"""`sqlite3`: connections are instances of `sqlite3.Connection`, and open the sandbox's files."""

from __future__ import annotations

from .. import calls

TYPE_CHECKING = False  # as in `typing`
if TYPE_CHECKING:
    from typing import Any

__tracebackhide__ = True  # read by pytest

_FACTORY = 5  # its position among the arguments of `connect`


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
