"""`Emulator`: the server's life, and the test author's handle on it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from podflare_emulator.guest.order import Python, Seed
from podflare_emulator.settings import Settings

if TYPE_CHECKING:
    from podflare_emulator.hosting.isolation import Refusal

_KEEP_ALIVE = 3600  # seconds: a test that thinks for long must not find its connection closed
_GRACE = 1  # seconds for open streams at the end; their sandboxes are gone by then


class EmulatorError(RuntimeError):
    """The emulator could not start; the message is for its user."""


class Emulator:
    """Podflare's API on this machine, served by a thread of this process.

        with Emulator() as emulator:
            sandbox = Sandbox(host=emulator.url)

    Args:
        settings: How it runs; by default loopback, a free port and the best isolation there is.
        changes: Fields of `Settings` that differ from that.

    Raises:
        SettingsError: A setting cannot be used.
        EmulatorError: On entry: the port is in use, or no isolation backend can be had.
    """

    def __init__(self, settings: Settings | None = None, **changes: Any) -> None:
        self.settings = replace(settings or Settings(port=0), **changes)
        self.isolation = ""  # the backend in use, once started
        self.refusals: tuple[Refusal, ...] = ()  # better ones that could not be had
        self._python: Python | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when it serves."""
        if self._thread:
            raise EmulatorError("this emulator is running already")
        listener = _listen(self.settings.host, self.settings.port)
        self._port = listener.getsockname()[1]
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=_run_to_its_end,
            args=(_loop(), self._run(listener, started)),
            name="podflare-emulator",
            daemon=True,
        )
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            listener.close()
            raise

    def stop(self) -> None:
        """Ends every sandbox; returns when no process and no file of theirs is left."""
        if self._thread is None:
            return
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    @property
    def url(self) -> str:
        """Where clients find it."""
        host = self.settings.host
        if host in ("0.0.0.0", ""):
            host = "127.0.0.1"
        elif host == "::":
            host = "::1"
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    def describe(self) -> str:
        """One line: isolation, fork engine, Python."""
        assert self._python is not None
        return (
            f"isolation: {self.isolation}, fork: {self.settings.fork_engine}, "
            f"Python: {self._python.version} ({self._python.executable})"
        )

    async def _run(self, listener: socket.socket, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            await self._serve(listener, started)
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _serve(self, listener: socket.socket, started: Future[None]) -> None:
        from podflare_emulator.hosting.errors import HostingError
        from podflare_emulator.hosting.interpreter import find
        from podflare_emulator.hosting.isolation import launch

        seeds = tuple(Seed(mount.source, mount.target) for mount in self.settings.mounts)
        importing = self._loop.run_in_executor(None, _import_server)  # while the processes inside start
        try:
            self._python = find(self.settings.python)
            launched = await launch(self.settings.isolation, self._python, seeds)
        except HostingError as error:
            raise EmulatorError(str(error)) from error
        finally:
            await importing
        self.isolation, self.refusals = launched.backend, launched.refusals

        import uvicorn

        from podflare_emulator.api.app import build_app
        from podflare_emulator.domain.registry import SandboxRegistry

        registry = SandboxRegistry(launched.launcher, self.settings.pool_size)
        registry.warm(launched.guest)
        config = uvicorn.Config(
            build_app(registry, self.settings),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE,
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started and not serving.done():
                await asyncio.sleep(0.001)
            started.set_result(None)
            await self._stop.wait()
        finally:
            await registry.close()
            server.should_exit = True
            await serving
            await launched.launcher.stop()


def _import_server() -> None:
    import uvicorn
    import uvicorn.loops.auto
    import uvicorn.protocols.http.auto  # noqa: F401

    import podflare_emulator.api.app  # noqa: F401


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise EmulatorError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error


def _run_to_its_end(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    try:
        loop.run_until_complete(work)
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return _SteadyLoop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class _SteadyLoop(asyncio.SelectorEventLoop):
    """Its clock goes on when a test stops the process's."""

    def time(self, _clock: Any = time.monotonic) -> float:  # a default value is out of the patchers' reach
        now: float = _clock()
        return now
