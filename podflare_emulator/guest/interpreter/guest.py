"""The guest: the long-lived process of one sandbox. It reads a message, executes it, and answers."""

from __future__ import annotations

import _thread
import os
import socket
import traceback
from collections.abc import Callable, Sequence

from ..files import seeding
from ..fork import following, fork
from ..jail.interface import Jail
from ..protocol import Connection, Message
from ..system import heap, imports, kernel
from ..system.descriptors import hide
from . import bash, inspection, limits, terminals
from .commands import Commands
from .repl import Repl

_SILENCE = 0.05  # seconds without a message, before free memory goes back to the system


def run(
    jail: Jail,
    ticket: Message,
    entrance: Sequence[int],
    descriptors: tuple[int, int, int],
    repl: Repl,
) -> None:
    """Becomes a guest. `descriptors` are the control socket and the pipes for output and errors. Does not return."""
    control, out, err = descriptors
    connection = Connection(socket.socket(fileno=hide(control)))
    try:
        os.setsid()
        jail.enter(ticket["tree"], entrance)
        limits.impose(ticket)
        imports.search_working_directory()
        guest = Guest(jail, connection, hide(out), hide(err), ticket["baseline"], repl)
        guest.announce()
    except Exception as error:
        connection.send({"failed": f"{type(error).__name__}: {error}"})
        os._exit(1)
    try:
        guest.serve()
    except BaseException:
        traceback.print_exc()  # a bug of the emulator: it goes to the sandbox's stderr, for want of a better place
    finally:
        os._exit(1)


class Guest:
    """The state of this process that is not the user's."""

    def __init__(
        self, jail: Jail, connection: Connection, out: int, err: int, baseline: int, repl: Repl
    ) -> None:
        self.jail = jail
        self.connection = connection
        self.out, self.err = out, err
        self.baseline = baseline  # before this time (ns) the user has changed nothing in the tree
        self.pid = os.getpid()
        self.repl = repl
        self.repl.forget_interrupts()  # the zygote's
        self.commands = Commands()
        self.has_started = False  # whether it has started a process that is not its child
        self.variables: dict[str, str] = {}  # set by the test's author for this sandbox
        self.take_descriptors()
        self._open_files = limits.OpenFiles()

    @property
    def hidden(self) -> tuple[int, ...]:
        """Descriptors that are not the user's."""
        return (self.connection.fileno(), self.out, self.err, *self.jail.descriptors)

    def take_descriptors(self) -> None:
        null = os.open(os.devnull, os.O_RDONLY)
        for source, number in ((null, 0), (self.out, 1), (self.err, 2)):
            os.dup2(source, number, inheritable=True)
        if null:
            os.close(null)

    def announce(self) -> None:
        # Threads: handlers that run in a forked child may have started some.
        self.connection.send({"ready": self.pid, "mark": self.jail.mark(), "threads": _thread._count()})

    def serve(self) -> None:
        """Serves the host until it closes the connection. Does not return."""
        while (arrived := self.connection.receive()) is not None:
            message, descriptors = arrived
            match message["op"]:
                case "exec":
                    self.repl.expect(message["interrupts"])
                    if "commands" in message:
                        self.commands.wanted = message["commands"]
                    code = self._execute(message["code"], message["language"])
                    if os.getpid() != self.pid:  # user code has forked, and this is the child
                        os._exit(code)
                    self.connection.send({"exit": code, **self.commands.report(self.jail.root)})
                    if heap.may_have_much() and self.connection.is_silent(_SILENCE):
                        heap.give_back()
                case "fork":
                    fork.fork(self, message["children"], descriptors, message["files"])
                case "show":
                    following.show(self)
                case "follow":
                    self.connection.send(following.follow(self, message, descriptors))
                case "pack":
                    self.connection.send(following.pack(self, descriptors[0]))
                case "unpack":
                    self.connection.send(following.unpack(self, message["packed"], descriptors[0]))
                case "inspect":
                    self.connection.send(inspection.answer(self.jail, self.repl.globals, self.flush, message))
                case "terminal":
                    self._start_terminal(message)
                case "environment":
                    self.variables |= message["variables"]
                    os.environ.update(message["variables"])
                    self.connection.send({"set": True})
                case "echo":
                    self.repl.echoes = True
                    self.connection.send({"echoes": True})
                case "write":
                    self.connection.send(seeding.write(self.jail.root, message["files"], descriptors[0]))
        os._exit(0)

    def _start_terminal(self, order: Message) -> None:
        self.flush()  # otherwise the forked process would print it too
        answer, terminal = terminals.start(self.jail, self.variables, order, self._open_files.restrict)
        self.has_started |= bool(terminal)
        self.connection.send(answer, terminal)
        for number in terminal:
            os.close(number)

    def _execute(self, code: str, language: str) -> int:
        self._mend_descriptors()
        try:
            self.commands.arrange(self.jail.root)
        except OSError as error:  # the real commands must not run instead
            os.write(self.err, f"podflare: the test's commands cannot be put on the PATH: {error}\n".encode())
            return 1
        run = self._bash(code) if language == "bash" else lambda: self.repl.run(code)
        self._open_files.restrict()
        try:
            return run()
        finally:
            self._open_files.relax()
            self.flush()

    @imports.own()
    def _bash(self, code: str) -> Callable[[], int]:
        """A function that runs `code`. Everything that may open files of the emulator is done before."""
        script, variables = self.jail.script(code), {**self.jail.variables(), **self.variables}
        home = f"{self.jail.prefix}/root"
        return lambda: bash.run(script, variables, home, lambda: self.repl.interrupted)

    def flush(self) -> None:
        """After this, all printed output is in the pipes, whether Python or C code printed it."""
        self.repl.flush()
        kernel.flush_c_streams()

    def _mend_descriptors(self) -> None:
        """Restores standard streams that earlier code has closed: it must not cost later code its output."""
        for source, number in ((self.out, 1), (self.err, 2)):
            try:
                os.fstat(number)
            except OSError:
                os.dup2(source, number, inheritable=True)
