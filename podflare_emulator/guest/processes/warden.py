"""The outermost process of an emulator: makes the base tree, starts the keeper, and cleans up after everything.

It runs on the host with the rights of the user who started the emulator, and does nothing while the emulator lives.
Under the namespace backend, guests cannot reach it. However the emulator ends, the keeper notices that, and the warden
removes what is left: processes first, then the state directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import time
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from ..jail.namespace import start
from ..order import Order
from ..protocol import Connection
from ..system import inheritance, kernel
from ..system.process_table import children
from . import router
from .keeper import Keeper

if TYPE_CHECKING:
    from ..jail import plain
    from ..jail.namespace.keep import Keep

_MAKING = 60  # seconds: far more than an emulator needs to make its directory and lock it
_BACKENDS = {"namespace": "namespace.start", "preload": "preload", "portable": "portable.inside"}


def main(descriptor: int) -> None:
    inheritance.forget()
    connection = Connection(socket.socket(fileno=descriptor))
    arrived = connection.receive()
    if arrived is None:
        return
    message, (router_end,) = arrived
    order = Order.from_message(message)
    backend = _backend(order.isolation)
    kernel.adopt_orphans()
    keeper = 0
    try:
        order = _settle_network(order)
        os.makedirs(f"{order.state}/jails")
        backend.build_base(order)

        def keep(build: Callable[[], Keep | plain.Keep]) -> None:
            os.close(router_end)
            _keep(connection, build)

        keeper, user_namespace = backend.start_keeper(order, keep)
        if user_namespace is not None:
            router.start(router_end, order, user_namespace)
            os.close(user_namespace)
    except Exception as error:
        with contextlib.suppress(OSError):
            connection.send({"failed": str(error)})
    os.close(router_end)
    connection.close()
    temporary, name = os.path.split(order.state)
    place = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY)
    _sweep(place, name)
    if order.isolation == "portable":
        with contextlib.suppress(OSError):
            backend.settle(order)
    _outlive(keeper)
    start.remove(place, name)


def _backend(isolation: str) -> ModuleType:
    """Loads only the one that is used: the others' modules would take longer to load than a sandbox to start."""
    return import_module(f"..jail.{_BACKENDS[isolation]}", __package__)


def _sweep(place: int, mine: str) -> None:
    """Removes the state directories of emulators that are dead, including their wardens: nobody holds their locks."""
    prefix = mine[: mine.rindex("-") + 1]
    for name in os.listdir(place):
        if not name.startswith(prefix) or name == mine:
            continue
        with contextlib.suppress(OSError):  # it is alive, belongs to another user, or is being removed
            age = time.time() - os.stat(name, dir_fd=place, follow_symlinks=False).st_mtime
            try:
                lock = os.open(f"{name}/lock", os.O_RDWR, dir_fd=place)
            except FileNotFoundError:
                if age > _MAKING:  # its maker was killed before it could lock
                    start.remove(place, name)
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                start.remove(place, name)
            finally:
                os.close(lock)


def _keep(connection: Connection, build: Callable[[], Keep | plain.Keep]) -> None:
    """In the keeper. Does not return."""
    try:
        keeper = Keeper(connection, build())
    except Exception as error:
        connection.send({"failed": str(error)})
        os._exit(1)
    try:
        keeper.serve()
    except BaseException:
        import traceback  # late, as most keepers end without

        traceback.print_exc()
    finally:
        os._exit(0)


def _settle_network(order: Order) -> Order:
    """Decides what "auto" means on this machine; raises OSError if it should be private but cannot."""
    if order.network == "host":
        return order
    refusal = router.trial()
    if refusal and order.network == "private":
        raise OSError(f"this machine cannot give sandboxes a private network with a way out: {refusal}")
    return order._replace(network="host" if refusal else "private")


def _outlive(keeper: int) -> None:
    """Waits for the keeper's end, then kills the processes that are left: this subreaper has adopted them."""
    if keeper:
        os.waitpid(keeper, 0)
    with contextlib.suppress(ChildProcessError):
        while True:
            for pid in children():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)  # one that ends has left its children to this process by then
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
