"""`Emulator`: the server's life, and the test author's handle on it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import NoneType, TracebackType
from typing import TYPE_CHECKING, Any, Literal

from podflare_emulator.handle.clients.origins import Origin, Origins
from podflare_emulator.handle.clients.watch import blocking_classes, sandbox_classes
from podflare_emulator.handle.faults import Faults
from podflare_emulator.handle.files import Files
from podflare_emulator.handle.server.patchers import exempt_server, refuse_green_threads
from podflare_emulator.handle.server.process import ServerProcess
from podflare_emulator.handle.server.started import Started
from podflare_emulator.handle.stubbing import Stubs
from podflare_emulator.handle.variables import Variables
from podflare_emulator.vocabulary.errors import NOT_RUNNING
from podflare_emulator.vocabulary.errors import EmulatorError as EmulatorError
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
    from podflare_emulator.hosting.isolation import Refusal


class Emulator(Faults, Stubs):
    """Podflare's API on this machine.

        with Emulator() as emulator:
            sandbox = Sandbox(host=emulator.url)

    Args:
        settings: How it runs; by default loopback, a free port and the best isolation there is.
        server: Where: in a child process, which survives whatever is done to this one, or in a thread of this one, for
            programs that patch, fork and collect nothing.
        changes: Fields of `Settings` that differ from that.

    Raises:
        SettingsError: A setting cannot be used.
        EmulatorError: On entry: the port is in use, or no isolation backend can be had. Of any method: it is not
            running, or refuses.
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
        self.refusals: tuple[Refusal, ...] = ()  # better ones that could not be had
        self._kind = server
        self._origins = Origins()
        self._egress = True
        self._echo: bool | None = None
        self._files = Files(self._call)
        self._env = Variables(self._call)
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
        """Begins to start, and returns at once: there is something else to be done before `start` waits for it."""
        if self._server or self._launched:
            raise EmulatorError("this emulator is running already")
        launched = self._new_server()
        launched.launch()
        self._launched = launched

    def start(self) -> None:
        """Returns when it serves."""
        if self._server:
            raise EmulatorError("this emulator is running already")
        server, self._launched = self._launched or self._new_server(), None
        self._started = started = server.start()
        self._server = server
        self.isolation, self.refusals = started.isolation, started.refusals

    def stop(self) -> None:
        """Ends every sandbox; returns when no process and no file of theirs is left.

        In a process that has been forked from the one that has started it, nothing ends.
        """
        server, self._server, self._launched = self._server or self._launched, None, None
        if server:
            server.stop()

    def _new_server(self) -> ServerThread | ServerProcess:
        if self._kind == "process":
            return ServerProcess(self.settings)
        from podflare_emulator.handle.server.thread import ServerThread

        refuse_green_threads()
        return ServerThread(self.settings)

    @property
    def url(self) -> str:
        """Where clients find it, once started."""
        if self._started is None:
            raise EmulatorError(NOT_RUNNING)
        host = reachable_host(self.settings.host)
        port = self._started.port
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def describe(self) -> str:
        """One line: isolation, fork engine, Python; once started."""
        isolation = self.describe_isolation()
        assert self._started is not None
        python = self._started.python
        return f"isolation: {isolation}, fork: {self.settings.fork}, Python: {python.version} ({python.executable})"

    def describe_isolation(self) -> str:
        """One line: the backend in use and, where `auto` could not take a better one, what that lacks; once started."""
        if self._started is None:
            raise EmulatorError(NOT_RUNNING)
        lacks = "; ".join(
            f"{refusal.backend}: {' '.join(refusal.reason.split())}" for refusal in self.refusals
        )
        return f"{self.isolation} (better ones cannot be had: {lacks})" if lacks else self.isolation

    @contextmanager
    def redirect_clients(self) -> Iterator[None]:
        """While it is entered, a program of this process that just says `Sandbox()` reaches this emulator."""
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
        """The file and line that made a sandbox, if it was made in this process under `redirect_clients`."""
        return self._origins.of(sandbox_id)

    @property
    def files(self) -> Files:
        """What every sandbox created from now on has; `files = {...}`: these, and no others."""
        return self._files

    @files.setter
    def files(self, files: Any) -> None:
        self._files.clear()
        self._files.update(files)

    @property
    def env(self) -> Variables:
        """What every sandbox created from now on has in its environment; `env = {...}`: these, and no others."""
        return self._env

    @env.setter
    def env(self, variables: Any) -> None:
        self._env.replace(variables)

    @property
    def egress(self) -> bool:
        """Set it to False, and no sandbox created until the next reset reaches the network.

        Raises EmulatorError where the isolation cannot see to that.
        """
        return self._egress and self.settings.egress

    @egress.setter
    def egress(self, allowed: bool) -> None:
        self._call("set_egress", allowed=allowed)
        self._egress = allowed

    @property
    def echo_last_expression(self) -> bool:
        """Set it to True, and sandboxes created until the next reset print the `repr` of a last expression.

        As Jupyter does: None is not printed, nor what a semicolon follows.
        """
        return self.settings.echo_last_expression if self._echo is None else self._echo

    @echo_last_expression.setter
    def echo_last_expression(self, echo: bool) -> None:
        self._call("set_echo_last_expression", echo=echo)
        self._echo = echo

    def keep_log(self, level: Literal["error", "warning", "info"] = "info") -> None:
        """Keeps the lines that the server logs until the next reset, from this level on, for `log`.

        They go nowhere else then, and so neither into pytest's `caplog` nor into its report's captured log.
        """
        self._call("keep_log", level=level)

    @property
    def log(self) -> list[str]:
        """The newest thousand of the lines kept, oldest first."""
        lines: list[str] = self._call("log")
        return lines

    @contextmanager
    def lasting_ids(self) -> Iterator[None]:
        """Inside, sandboxes are made that are to be kept at a reset.

        With a seed, the ids that a test sees do not depend on whether it was the first to need them.
        """
        if self.settings.seed is None:
            yield
            return
        self._call("lasting_ids", lasting=True)
        try:
            yield
        finally:
            self._call("lasting_ids", lasting=False)

    def exempt_from_patchers(self) -> None:
        """Tells those tools that are loaded and freeze the clock or fake the file system to leave the server alone.

        To be called before they start doing so; a server in a process of its own has no need of it.
        """
        if self._kind == "thread":
            exempt_server()

    def reset(self, keep: Collection[str] = ()) -> list[str]:
        """Destroys every sandbox but those with the ids in `keep`; returns the ids of the destroyed.

        All that was arranged since the start (`files`, `env`, `stub`, default ones too, `fault`, `egress`, ...) is
        forgotten, and so is the journal. What the constructor was given holds.
        """
        self.files.clear()
        self._env.forget()
        self._arranged_stubs.clear()
        self._faults.clear()
        self._egress = True
        self._echo = None
        destroyed: list[str] = self._call("reset", keep=list(keep))
        return destroyed

    def _call(self, name: str, **arguments: Any) -> Any:
        if self._server is None:
            raise EmulatorError(NOT_RUNNING)
        return self._server.call(name, arguments)


_SERVERS = ("process", "thread")
