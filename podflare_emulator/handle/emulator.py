"""`Emulator`: the server's life, and the test author's handle on it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from os import getpid
from types import EllipsisType, NoneType, TracebackType
from typing import TYPE_CHECKING, Any, Literal

from podflare_emulator.handle.clients.origins import Origin, Origins
from podflare_emulator.handle.clients.watch import blocking_classes, sandbox_classes
from podflare_emulator.handle.clock import Clock
from podflare_emulator.handle.faults import Faults
from podflare_emulator.handle.files import Files
from podflare_emulator.handle.server.patchers import exempt_server, refuse_green_threads
from podflare_emulator.handle.server.process import ServerProcess
from podflare_emulator.handle.server.started import Started
from podflare_emulator.handle.stubbing import Stubs
from podflare_emulator.handle.variables import Variables
from podflare_emulator.vocabulary.errors import NOT_RUNNING
from podflare_emulator.vocabulary.errors import EmulatorError as EmulatorError
from podflare_emulator.vocabulary.kinds import addresses
from podflare_emulator.vocabulary.settings import (
    Changes,
    Settings,
    SettingsError,
    reachable_host,
    with_present_names,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from podflare_emulator.handle.server.thread import ServerThread
    from podflare_emulator.hosting.machine.refusal import Refusal


class Emulator(Faults, Stubs):
    """An emulator of Podflare's API on this machine.

        with Emulator() as emulator:
            sandbox = Sandbox(host=emulator.url)

    Args:
        settings: The settings; by default loopback, a free port and the best isolation there is.
        server: Where the server runs: `"process"`, a child process that patches and forks of this one do not affect; or
            `"thread"`, a thread of this process, for debugging.
        changes: Fields of `Settings` that differ from `settings`.

    Raises:
        SettingsError: A setting is invalid.
        EmulatorError: When it starts: the port is in use, or no isolation backend works. From any method: the emulator
            does not run, or refuses the call.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        server: Literal["process", "thread"] = "process",
        **changes: Unpack[Changes],
    ) -> None:
        if server not in _SERVERS:
            raise SettingsError(f"server: expected {' or '.join(_SERVERS)}, got {server!r}")
        super().__init__()
        if not isinstance(settings, (Settings, NoneType)):
            raise SettingsError(f"settings: expected Settings, or its fields by name, got {settings!r}")
        self.settings = replace(settings or Settings(port=0), **with_present_names(changes))
        self.isolation = ""  # the backend in use, once started
        self.network = ""  # whose network sandboxes with egress have: each its "private" one, or the "host"'s
        self.refusals: tuple[Refusal, ...] = ()  # better ones that are not available
        self._kind = server
        self._origins = Origins()
        self._files = Files(self._call)
        self._env = Variables(self._call)
        self._egress: bool
        self._reachable: tuple[tuple[str, int], ...]
        self._webhook_url: str | EllipsisType | None  # `...`: of the settings
        self._echo: bool | None
        self._forget()
        self._clock = Clock(self._call, self._before_time_moves)
        self._started: Started | None = None
        self._launched: ServerThread | ServerProcess | None = None
        self._server: ServerThread | ServerProcess | None = None

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def launch(self) -> None:
        """Begins to start the server and returns at once. `start` waits until it serves."""
        if self._server or self._launched:
            raise EmulatorError("this emulator is running already")
        launched = self._new_server()
        launched.launch()
        self._launched = launched

    def start(self) -> None:
        """Starts the server and returns when it serves."""
        if self._server:
            raise EmulatorError("this emulator is running already")
        launched, self._launched = self._launched, None
        # One that was launched before this process was forked answers the parent.
        server = launched if launched and launched.owner == getpid() else self._new_server()
        self._started = started = server.start()
        self._server = server
        self._forget()  # what was arranged with an earlier server
        self.isolation, self.refusals = started.isolation, started.refusals
        self.network = "private" if started.private_network else "host"

    def stop(self) -> None:
        """Destroys every sandbox and stops the server; returns when no process and no file of it is left.

        In a process that was forked from the one that started it, this does nothing.
        """
        server, self._server, self._launched = self._server or self._launched, None, None
        if server:
            server.stop()

    @property
    def is_lost(self) -> bool:
        """Whether its server has ended, or was given up, without having been stopped: somebody has killed it."""
        return self._server is not None and self._server.is_lost

    def _new_server(self) -> ServerThread | ServerProcess:
        if self._kind == "process":
            return ServerProcess(self.settings)
        from podflare_emulator.handle.server.thread import ServerThread

        refuse_green_threads()
        return ServerThread(self.settings)

    @property
    def url(self) -> str:
        """The URL for clients."""
        if self._started is None:
            raise EmulatorError(NOT_RUNNING)
        host = reachable_host(self.settings.host)
        port = self._started.port
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def describe(self) -> str:
        """One line with isolation, fork engine, Python, and the network if it is the sandboxes' own."""
        isolation = self.describe_isolation()
        assert self._started is not None
        python = self._started.python
        network = ", network: private" if self.network == "private" else ""
        return (
            f"isolation: {isolation}, fork: {self.settings.fork}{network}, "
            f"Python: {python.version} ({python.executable})"
        )

    def describe_isolation(self) -> str:
        """One line with the backend in use and, if `auto` could not take a better one, what is missing for it."""
        if self._started is None:
            raise EmulatorError(NOT_RUNNING)
        lacks = "; ".join(
            f"{refusal.backend}: {' '.join(refusal.reason.split())}" for refusal in self.refusals
        )
        return f"{self.isolation} (better ones are not available: {lacks})" if lacks else self.isolation

    def redirect_clients(self) -> AbstractContextManager[None]:
        """A context manager: inside, `Sandbox()` without arguments connects to this emulator, in this process."""
        from podflare_emulator.handle.clients.overlap import overlapping

        return overlapping(self._redirecting_clients)

    @contextmanager
    def _redirecting_clients(self) -> Iterator[None]:
        from podflare_emulator.handle.clients.finalizers import waiting_for_nobody
        from podflare_emulator.handle.clients.redirect import import_sdk, redirect_clients

        keys = self.settings.api_keys
        sdk = import_sdk()
        classes = sandbox_classes(sdk)
        with ExitStack() as entered:
            # First: it looks for the URLs in the client's functions, and the others wrap some of them.
            entered.enter_context(redirect_clients(self.url, keys[0] if keys else None))
            entered.enter_context(waiting_for_nobody(blocking_classes(sdk), self._in_servers_thread))
            entered.enter_context(self._origins.recording(*classes))
            yield

    def _in_servers_thread(self) -> bool:
        return not isinstance(self._server, (ServerProcess, NoneType)) and self._server.is_here

    def origin(self, sandbox_id: str) -> Origin | None:
        """The file and line that created a sandbox, if it was created in this process under `redirect_clients`."""
        return self._origins.of(sandbox_id)

    @property
    def files(self) -> Files:
        """Files for every sandbox that is created from now on. `files = {...}` replaces them all."""
        return self._files

    @files.setter
    def files(self, files: Any) -> None:
        self._files.clear()
        self._files.update(files)

    @property
    def env(self) -> Variables:
        """Environment variables for every sandbox that is created from now on. `env = {...}` replaces them all."""
        return self._env

    @env.setter
    def env(self, variables: Any) -> None:
        self._env.replace(variables)

    @property
    def clock(self) -> Clock:
        """The emulator's clock. Move it with `emulator.clock.advance(3600)`."""
        return self._clock

    def _before_time_moves(self) -> None:
        pass

    @property
    def egress(self) -> bool:
        """Whether sandboxes that are created until the next reset reach the network.

        Raises EmulatorError if the isolation cannot enforce False.
        """
        return self._egress and self.settings.egress

    @egress.setter
    def egress(self, allowed: bool) -> None:
        self._call("set_egress", allowed=allowed)
        self._egress = allowed

    @property
    def webhook_url(self) -> str | None:
        """Where events are sent; set it, and they are until the next reset. Raises EmulatorError for no URL."""
        return self.settings.webhook_url if self._webhook_url is ... else self._webhook_url

    @webhook_url.setter
    def webhook_url(self, url: str | None) -> None:
        self._call("set_webhook_url", url=url)
        self._webhook_url = url

    @property
    def reachable(self) -> tuple[tuple[str, int], ...]:
        """What every sandbox created from now on reaches of this machine's loopback, until the next reset.

            emulator.reachable = [("127.0.0.1", 8080)]

        Beside what the emulator was started with. A sandbox with the machine's network reaches all of it anyway.
        """
        return self._reachable

    @reachable.setter
    def reachable(self, given: Iterable[tuple[str, int]]) -> None:
        checked = addresses("reachable", given)
        self._call("set_reachable", addresses=checked)
        self._reachable = checked

    @property
    def echo_last_expression(self) -> bool:
        """Whether sandboxes that are created until the next reset print the `repr` of a last line that is an
        expression.

        As in Jupyter, None is not printed, nor an expression that a semicolon follows.
        """
        return self.settings.echo_last_expression if self._echo is None else self._echo

    @echo_last_expression.setter
    def echo_last_expression(self, echo: bool) -> None:
        self._call("set_echo_last_expression", echo=echo)
        self._echo = echo

    def keep_log(self, level: Literal["error", "warning", "info"] = "info") -> None:
        """Keeps the server's log lines from this level on, until the next reset; read them from `log`.

        They appear nowhere else then: neither in pytest's `caplog` nor in the captured log of its report.
        """
        self._call("keep_log", level=level)

    @property
    def log(self) -> list[str]:
        """The newest thousand of the lines that `keep_log` kept, oldest first."""
        lines: list[str] = self._call("log")
        return lines

    @contextmanager
    def lasting_ids(self) -> Iterator[None]:
        """A context manager: inside, sandboxes are created that a reset is to keep.

        The clock does not end them. With a seed, the ids that a test sees do not depend on whether it was the first to
        need such a sandbox.
        """
        self._call("lasting_ids", lasting=True)
        try:
            yield
        finally:
            self._call("lasting_ids", lasting=False)

    def expect_forks(self, sandbox_id: str) -> None:
        """Makes `fork(1)` of this sandbox quicker, from its second on, for as long as nothing else happens in it.

            emulator.expect_forks(sandbox.id)

        After each, the next child is made ahead. It is thrown away at whatever happens in the sandbox, and what a child
        holds does not depend on it. `prepared_sandbox` does this.
        """
        self._call("expect_forks", sandbox=sandbox_id)

    def exempt_from_patchers(self) -> None:
        """Tells libraries that freeze the clock or fake the file system, if they are loaded, to leave the server alone.

        Call it before they begin. A server in its own process does not need it.
        """
        if self._kind == "thread":
            exempt_server()

    def reset(self, keep: Collection[str] = ()) -> list[str]:
        """Destroys every sandbox except those with the ids in `keep`, and returns the ids of those destroyed.

        Removes everything that was arranged since the start (`files`, `env`, stubs, faults, `egress`, `reachable`,
        ...) and empties the journal. The settings of the constructor stay.
        """
        return self._reset(keep)

    def _reset(self, keep: Collection[str], *, remember: bool = False) -> list[str]:
        """`remember`: for `last_report`."""
        self._forget()
        destroyed: list[str] = self._call("reset", keep=list(keep), remember=remember)
        return destroyed

    def _forget(self) -> None:
        """Forgets all that was arranged, as the server does at a reset."""
        self._files.forget()
        self._env.forget()
        self._arranged_stubs.clear()
        self._only_defaults = False
        self._faults.clear()
        self._egress = True
        self._reachable = ()
        self._webhook_url = ...
        self._echo = None

    def _call(self, name: str, **arguments: Any) -> Any:
        if self._server is None:
            raise EmulatorError(NOT_RUNNING)
        return self._server.call(name, arguments)


_SERVERS = ("process", "thread")
