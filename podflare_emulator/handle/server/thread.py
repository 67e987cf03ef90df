"""The server in a thread of this process."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as TookTooLong  # not the built-in one before Python 3.11
from functools import partial
from importlib.util import find_spec, module_from_spec
from os import getpid
from typing import TYPE_CHECKING, Any

from podflare_emulator.handle.server.beginning import hosting
from podflare_emulator.handle.server.loading import import_server
from podflare_emulator.handle.server.started import CALL, START, STOP, UNBOUNDED, Started
from podflare_emulator.vocabulary.errors import NOT_RUNNING, EmulatorError
from podflare_emulator.vocabulary.settings import Settings, reachable_host

if TYPE_CHECKING:
    from podflare_emulator.control.control import Control
    from podflare_emulator.domain.registry import SandboxRegistry
    from podflare_emulator.hosting.warden import Warden

_KEEP_ALIVE = 3600  # seconds: a test that pauses for long must not find its connection closed
_GRACE = 1  # seconds for open streams at shutdown; their sandboxes are gone by then


class ServerThread:
    """With a `side_door`, the server also listens on a separate port for its starter's control calls.

    `entries`: as in `find`, if this process is the server's own. `begun`: its warden, if that has begun.

    Whatever a test does to its process affects this server; see `process` for one that is separate.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        side_door: bool = False,
        entries: list[str] | None = None,
        begun: Warden | None = None,
    ) -> None:
        self._settings = settings
        self._entries = entries
        self._begun = begun
        self._side_door = side_door
        self._taking_calls = threading.Lock()
        self._takes_calls = True
        self._given_up = ""  # why
        self._thread: threading.Thread | None = None
        self.owner = getpid()

    def launch(self) -> None:
        """Begins the start without waiting; `start` waits for it."""
        self._listener = _listen(self._settings.host, self._settings.port)
        self._side = _listen(reachable_host(self._settings.host), 0) if self._side_door else None
        self._started: Future[Started] = Future()
        self._loop = _loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(
            target=self._run_to_its_end,
            args=(self._run(self._listener, self._started),),
            name="podflare-emulator",
            daemon=True,
        )
        self._thread.start()

    def start(self) -> Started:
        """Returns when it serves; raises EmulatorError if it cannot."""
        if self._thread is None:
            self.launch()
        try:
            return self._started.result(START)
        except BaseException as error:  # it could not start, or the wait for it was interrupted
            if isinstance(error, TookTooLong) and not self._started.done():
                self._given_up = f"it did not serve within {START} seconds"
            self.stop()
            self._listener.close()
            if self._side:
                self._side.close()
            if self._given_up:
                raise EmulatorError(f"the server's thread was given up: {self._given_up}") from None
            raise

    @property
    def is_lost(self) -> bool:
        """Whether it has ended by itself, or was given up."""
        if self.owner != getpid():
            return False
        return bool(self._given_up) or not (self._thread and self._thread.is_alive())

    @property
    def is_here(self) -> bool:
        """Whether the caller is in the server's own thread."""
        return self._thread is threading.current_thread()

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """Makes a call of `Control` on the server's loop, and waits for its result."""
        from podflare_emulator.vocabulary.sandbox_errors import SandboxError

        if self.owner != getpid():
            raise EmulatorError(
                "the server is a thread of the process from which this one was forked: run it in "
                "its own process, which is the default, or start another in this one"
            )
        if self.is_here:
            raise EmulatorError(
                f"{name!r} is called in the server's own thread, which would wait for itself: the garbage "
                "collector has finalized an object of the test there; run the server in its own process"
            )
        if self._given_up:
            raise EmulatorError(f"the server's thread was given up: {self._given_up}")
        with self._taking_calls:
            if not self._takes_calls:
                raise EmulatorError(NOT_RUNNING)
            calling = getattr(self._control, name)(**arguments)
            called = asyncio.run_coroutine_threadsafe(calling, self._loop)
        try:
            return called.result(None if name in UNBOUNDED else CALL)
        except SandboxError as error:
            raise EmulatorError(str(error)) from None  # its traceback would show the server's code
        except CancelledError:
            raise EmulatorError(NOT_RUNNING) from None
        except TookTooLong:
            self._given_up = f"it did not answer {name!r} within {CALL} seconds"
            raise EmulatorError(f"the server's thread is given up: {self._given_up}") from None

    def beside(self, work: Callable[[SandboxRegistry], Coroutine[Any, Any, None]]) -> None:
        """Runs `work` with the sandboxes on the server's loop, and waits for it."""
        asyncio.run_coroutine_threadsafe(work(self._registry), self._loop).result()

    def stop(self) -> None:
        """Ends every sandbox; returns when no process and no file of them is left, or when it gives up waiting."""
        if self._thread is None or self.owner != getpid():
            return
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(1 if self._given_up else STOP)

    def _run_to_its_end(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self._loop.run_until_complete(work)
        finally:
            with self._taking_calls:
                self._takes_calls = False
            self._loop.run_until_complete(_break_off())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    async def _run(self, listener: socket.socket, started: Future[Started]) -> None:
        from podflare_emulator.hosting.errors import HostingError
        from podflare_emulator.hosting.machine.unpacking import system
        from podflare_emulator.hosting.warden import STATE_PREFIX

        try:
            with system(self._settings.rootfs, STATE_PREFIX) as root:
                await self._serve(listener, started, root)
        except BaseException as error:
            if started.done():
                raise
            if isinstance(error, HostingError):
                error = EmulatorError(str(error))
            started.set_exception(error)

    async def _serve(self, listener: socket.socket, started: Future[Started], root: str) -> None:
        from podflare_emulator.hosting.isolation import launch
        from podflare_emulator.hosting.machine.interpreter import find

        importing = self._loop.run_in_executor(
            None, partial(import_server, alone=self._entries is not None)
        )  # in parallel with the start of the processes inside
        try:
            begun = self._begun
            python = begun.config.python if begun else find(self._settings.python, root, self._entries)
            launched = await launch(
                hosting(self._settings, python),
                layers_needed=self._settings.fork_files == "layers",
                begun=begun,
            )
        finally:
            await importing

        from uvicorn.config import Config

        from podflare_emulator.api.app import build_app
        from podflare_emulator.api.connections import Connections
        from podflare_emulator.api.faults import Disturbed
        from podflare_emulator.api.requests import Requests
        from podflare_emulator.api.server import Server
        from podflare_emulator.control.control import Control
        from podflare_emulator.domain.registry import SandboxRegistry
        from podflare_emulator.domain.testing.faults import Faults
        from podflare_emulator.vocabulary.clock import Clock

        clock = Clock(self._settings.clock)
        registry = SandboxRegistry(
            launched.launcher,
            self._settings.pool_size,
            egress=self._settings.egress,
            fork=self._settings.fork,
            fork_files=self._settings.fork_files,
            seed=self._settings.seed,
            env=self._settings.env,
            reachable=self._settings.reachable,
            clock=clock,
            tier=self._settings.tier,
            webhook_url=self._settings.webhook_url,
            state_dir=self._settings.state_dir,
            echo=self._settings.echo_last_expression,
            templates=self._settings.templates,
        )
        self._registry = registry
        registry.warm(launched.guest)
        record = Requests(clock.now)
        faults = Faults(self._settings.seed, self._settings.profile)
        connections = Connections(listener, clock)
        self._control: Control = Control(registry, record, faults, connections, self._settings)
        disturb = partial(Disturbed, faults, connections, clock)
        config = Config(
            build_app(registry, self._settings, self._control, record, disturb),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,  # they would hide which connection a request came on
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE,
        )
        server = connections.serving = Server(config)
        sockets = [listener.dup(), *([self._side] if self._side else [])]
        serving = asyncio.create_task(server.serve(sockets=sockets))
        try:
            while not server.started and not serving.done():
                await asyncio.sleep(0.001)
            port = listener.getsockname()[1]
            side_port = self._side.getsockname()[1] if self._side else None
            private = launched.launcher.private_network
            started.set_result(Started(port, launched.backend, launched.refusals, python, side_port, private))
            await self._stop.wait()
        finally:
            try:
                await registry.close()
                self._control.close()
                server.end()
                connections.end()
                await clock.close()
            finally:
                await asyncio.gather(serving, launched.launcher.stop())


async def _break_off() -> None:
    """Cancels the calls that came too late, so that no caller waits for ever."""
    late = asyncio.all_tasks() - {asyncio.current_task()}
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as picking:
            picked = port
            if not port and sys.platform == "linux":
                # A socket on a port that the kernel picked loses it when it stops listening, as `Connections.refuse`
                # makes it do. A port that was asked for stays, so a first socket picks one to ask for.
                picking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                picking.bind((host, 0))
                picked = picking.getsockname()[1]
            listener = socket.create_server((host, picked), family=family, backlog=1024)
    except OSError as error:
        hint = "; port 0 takes a free one" if error.errno == errno.EADDRINUSE else ""
        raise EmulatorError(
            f"cannot listen on {host} port {port}: {error.strerror or error}{hint}"
        ) from error
    # Accepted connections inherit it. asyncio sets it only on sockets made with an explicit protocol number.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return _SteadyLoop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _steady_clock() -> Callable[[], float]:
    """The monotonic clock of a fresh `time` module: the loaded one may be frozen already."""
    spec = find_spec("time")
    assert spec is not None
    assert spec.loader is not None
    time = module_from_spec(spec)
    spec.loader.exec_module(time)
    clock: Callable[[], float] = time.monotonic
    return clock


class _SteadyLoop(asyncio.SelectorEventLoop):
    """A loop whose clock keeps running when a test stops the process's."""

    def time(self, _clock: Callable[[], float] = _steady_clock()) -> float:  # noqa: B008
        return _clock()
