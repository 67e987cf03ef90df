"""`Emulator`: the server's life, and the test author's handle on it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from podflare_emulator.answers import Output
from podflare_emulator.errors import EmulatorError as EmulatorError
from podflare_emulator.faults import Faults
from podflare_emulator.files import Files
from podflare_emulator.functions import AnswerFunction, Functions, Match
from podflare_emulator.inspection import Inspection
from podflare_emulator.journal import Exec, Fork, HasId, Merge, Request, id_of, read_exec, read_fork, report
from podflare_emulator.lineage import Tree
from podflare_emulator.origins import Origin, Origins
from podflare_emulator.patchers import exempt_server, refuse_green_threads
from podflare_emulator.server_process import ServerProcess
from podflare_emulator.server_thread import ServerThread, Started
from podflare_emulator.settings import Settings, SettingsError, reachable_host
from podflare_emulator.stubs import CommandStub, Stub, arguments, check_answer, describe, describe_command

if TYPE_CHECKING:
    from podflare_emulator.hosting.isolation import Refusal


class Emulator(Faults):
    """Podflare's API on this machine.

        with Emulator() as emulator:
            sandbox = Sandbox(host=emulator.url)

    Args:
        settings: How it runs; by default loopback, a free port and the best isolation there is.
        server: Where: in a thread of this process, or in a child process, which is slower to start and survives
            whatever is done to this one (gevent's monkey patching, for example).
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
        server: Literal["thread", "process"] = "thread",
        **changes: Any,
    ) -> None:
        if server not in _SERVERS:
            raise SettingsError(f"server: expected {' or '.join(_SERVERS)}, got {server!r}")
        super().__init__()
        self.settings = replace(settings or Settings(port=0), **changes)
        self.isolation = ""  # the backend in use, once started
        self.refusals: tuple[Refusal, ...] = ()  # better ones that could not be had
        self._kind = server
        self._origins = Origins()
        self._stubs: list[Stub | CommandStub] = []
        self._egress = True
        self.files = Files(self._call)  # what every sandbox created from now on has
        self._server: ServerThread | ServerProcess | None = None

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when it serves."""
        if self._server:
            raise EmulatorError("this emulator is running already")
        if self._kind == "thread":
            refuse_green_threads()
        server = _SERVERS[self._kind](self.settings)
        self._started: Started = server.start()
        self._server = server
        self.isolation, self.refusals = self._started.isolation, self._started.refusals

    def stop(self) -> None:
        """Ends every sandbox; returns when no process and no file of theirs is left."""
        server, self._server = self._server, None
        if server:
            server.stop()

    @property
    def url(self) -> str:
        """Where clients find it."""
        host = reachable_host(self.settings.host)
        port = self._started.port
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def describe(self) -> str:
        """One line: isolation, fork engine, Python."""
        python = self._started.python
        return (
            f"isolation: {self.isolation}, fork: {self.settings.fork_engine}, "
            f"Python: {python.version} ({python.executable})"
        )

    @contextmanager
    def redirect_clients(self) -> Iterator[None]:
        """While it is entered, a program of this process that just says `Sandbox()` reaches this emulator."""
        from podflare_emulator.redirect import import_sdk, redirect_clients

        keys = self.settings.api_keys
        sdk = import_sdk()
        recording = self._origins.recording(sdk.Sandbox) if sdk else nullcontext()
        with redirect_clients(self.url, keys[0] if keys else None), recording:
            yield

    def origin(self, sandbox_id: str) -> Origin | None:
        """The file and line that made a sandbox, if it was made in this process under `redirect_clients`."""
        return self._origins.of(sandbox_id)

    @property
    def egress(self) -> bool:
        """Set it to False, and no sandbox created until the next reset reaches the network.

        Raises EmulatorError where the isolation cannot see to that.
        """
        return self._egress

    @egress.setter
    def egress(self, allowed: bool) -> None:
        self._call("set_egress", allowed=allowed)
        self._egress = allowed

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

    def stub(
        self,
        match: Match,
        *,
        language: Literal["python", "bash"] | None = None,
        stdout: Output = "",
        stderr: Output = "",
        exit_code: int = 0,
        delay: float = 0,
        answer: AnswerFunction | None = None,
        raises: str | BaseException | type[BaseException] | None = None,
        times: int | None = None,
        default: bool = False,
    ) -> Stub:
        """Until the next reset, answers execs without running them; what no stub matches runs for real.

            emulator.stub("pip install", stdout="Successfully installed requests-2.32.3")
            emulator.stub("train()", stdout=["epoch 1", 0.5, "epoch 2"], delay=1)
            emulator.stub("openai", answer=lambda call: call.run_real(call.code.replace("openai", "fake_openai")))

        The newest stub that matches answers. What is stubbed is in the journal all the same.

        Args:
            match: A part of the code, a regular expression that is searched for in it, or a function of code and
                language that tells whether it is meant.
            language: Only code in this language.
            stdout, stderr: Text; or a list of texts with seconds to wait among them.
            delay: Seconds before the answer.
            answer: A function that gets a `StubCall` and returns text for stdout, an `Answer`, a result of the SDK's,
                or `call.run_real()`. The exec fails with 500 and what it raises. It is called in a thread of this
                process, and may use the emulator, the SDK, and this sandbox itself, which is free meanwhile.
            raises: The exec fails with 500 and this text.
            times: How many execs it answers; by default all.
            default: It comes after all that are not, and need not be used.
        """
        number = self._call(
            "add_stub",
            label=describe(match, language),
            **arguments(
                match,
                language=language,
                stdout=stdout,
                stderr=stderr,
                exit_code=exit_code,
                delay=delay,
                answer=answer,
                raises=raises,
                times=times,
                default=default,
            ),
        )
        if answer or callable(match):
            Functions(match, answer).serve(self._call, number)
        stub = Stub(describe(match, language), number, lambda: self._call("stubs_used"))
        if not default:
            self._stubs.append(stub)
        return stub

    def stub_command(
        self,
        command: str,
        *,
        match: str = "",
        stdout: Output = "",
        stderr: Output = "",
        exit_code: int = 0,
        delay: float = 0,
        times: int | None = None,
        default: bool = False,
        answer: None = None,
    ) -> CommandStub:
        """Until the next reset, answers a command wherever in a sandbox it is called by its name.

            pip = emulator.stub_command("pip", match="install", stdout="Successfully installed")
            sandbox.run_code("pip install prophet && python -c 'print(1)'", language="bash")
            assert pip.calls == [["install", "prophet"]]

        That is, wherever it is found on the PATH: in bash scripts, by other programs, by `subprocess` in Python code.
        The rest of the script runs for real, and so do calls that no stub matches. The newest that matches answers.

        Args:
            match: A part of its arguments, joined by spaces.
            times: How many calls it answers; by default all. Sandboxes that run at the same time do not know of each
                other's calls before their execs have ended.
            answer: Refused: a function cannot be asked from inside a sandbox. Stub the code that calls the command.

        The others are as those of `stub`.
        """
        if answer is not None:
            raise EmulatorError(
                "answer: a command is answered in the sandbox, where no function can be called; give stdout, stderr "
                "and exit_code, or stub the code that calls it: stub(..., answer=...)"
            )
        if not isinstance(match, str):
            raise EmulatorError(f"match: expected a part of the command's arguments, got {match!r}")
        check_answer(stdout, stderr, exit_code, delay)
        number = self._call(
            "add_command_stub",
            command=command,
            match=match,
            stdout=stdout,
            stderr=stderr,
            exit_code=exit_code,
            delay=delay,
            times=times,
            default=default,
        )
        stub = CommandStub(describe_command(command, match), number, lambda: self._call("command_calls"))
        if not default:
            self._stubs.append(stub)
        return stub

    @contextmanager
    def only_default_stubs(self) -> Iterator[None]:
        """Inside, the others answer nothing: what is prepared there is to outlive the test that has them."""
        if not self._stubs:
            yield
            return
        self._call("leave_only_default_stubs", only=True)
        try:
            yield
        finally:
            self._call("leave_only_default_stubs", only=False)

    def assert_all_stubs_used(self) -> None:
        """Raises AssertionError, naming them, for stubs that have answered nothing, and shows what did run."""
        unused = [stub.described for stub in self._stubs if not stub.used]
        if unused:
            ran = _listed(self.execs())
            raise AssertionError(f"nothing matched the stub(s) {', '.join(unused)}; what ran:\n{ran}")

    def execs(
        self,
        *,
        sandbox: str | HasId | None = None,
        language: Literal["python", "bash"] | None = None,
        code: str | None = None,
    ) -> list[Exec]:
        """Every exec since the last reset, in the order in which they started.

        Uploads, downloads and diffs are execs too: that is how they travel.

        Args:
            sandbox: Only in this one, given as it is or by its id.
            language: Only in this language.
            code: Only those whose code contains this.
        """
        wanted = None if sandbox is None else id_of(sandbox)
        return [
            one
            for one in map(read_exec, self._call("execs"))
            if wanted in (None, one.sandbox)
            and language in (None, one.language)
            and (code is None or code in one.code)
        ]

    def requests(
        self, *, sandbox: str | HasId | None = None, call: str | None = None, status: int | None = None
    ) -> list[Request]:
        """Every request to the service since the last reset, in the order in which they came; the refused ones too.

        Args:
            sandbox: Only those about this one, given as it is or by its id; its create is one of them.
            call: Only these: `create`, `exec`, `fork`, `merge_into`, `destroy`, `replay`, ...
            status: Only those that were answered with it.
        """
        wanted = None if sandbox is None else id_of(sandbox)
        return [
            one
            for one in (Request(**entry) for entry in self._call("requests"))
            if wanted in (None, one.sandbox) and call in (None, one.call) and status in (None, one.status)
        ]

    def the_exec(
        self,
        *,
        sandbox: str | HasId | None = None,
        language: Literal["python", "bash"] | None = None,
        code: str | None = None,
    ) -> Exec:
        """The one exec that `execs` finds. Raises AssertionError, which shows what did run, for none or several."""
        found = self.execs(sandbox=sandbox, language=language, code=code)
        if len(found) == 1:
            return found[0]
        wanted = {"sandbox": None if sandbox is None else id_of(sandbox), "language": language, "code": code}
        asked = ", ".join(f"{name}={value!r}" for name, value in wanted.items() if value is not None)
        ran = _listed(found or self.execs())
        raise AssertionError(
            f"expected one exec with {asked or 'any code'}, found {len(found)}"
            f"{'' if found else '; what ran'}:\n{ran}"
        )

    @property
    def forks(self) -> list[Fork]:
        """Every fork since the last reset."""
        return [read_fork(entry) for entry in self._call("forks")]

    @property
    def merges(self) -> list[Merge]:
        """Every merge since the last reset."""
        return [Merge(**entry) for entry in self._call("merges")]

    def sandbox(self, sandbox: str | HasId) -> Inspection:
        """What is in a sandbox, given as it is or by its id: files and names, without an exec in the journal.

            assert emulator.sandbox(box).read("/root/report.csv").startswith(b"day,")
            assert "model" in emulator.sandbox(box).globals()

        Code that runs is waited for; see `Inspection`.
        """
        return Inspection(id_of(sandbox), self._call)

    def tree(self) -> Tree:
        """The sandboxes since the last reset: who was forked from whom, and what became of each.

        `print(emulator.tree())` draws it in text; `emulator.tree().mermaid()` is for a Markdown page.
        """
        return Tree.of(self._call("sandboxes"))

    def report(self) -> str:
        """The journal as text, as it stands in the report of a test that has failed; empty if nothing has happened."""
        forks = self.forks
        told = report(self.execs(), forks, self.merges, self.requests())
        return f"{self.tree()}\n\n{told}" if forks else told

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

        What was arranged for sandboxes to come (`files`, `stub`, `egress`) is forgotten, and so is the journal.
        """
        self.files.clear()
        self._stubs.clear()
        self._faults.clear()
        self._egress = True
        destroyed: list[str] = self._call("reset", keep=list(keep))
        return destroyed

    def _call(self, name: str, **arguments: Any) -> Any:
        if self._server is None:
            raise EmulatorError("this emulator is not running; start it, or use it in a with block")
        return self._server.call(name, arguments)


def _listed(execs: list[Exec]) -> str:
    return "\n".join(f"  {one!r}" for one in execs) or "  nothing"


_SERVERS: dict[str, type[ServerThread | ServerProcess]] = {"thread": ServerThread, "process": ServerProcess}
