"""The host's handle on a guest: the interpreter of one sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podflare_emulator.guest.protocol import Message
from podflare_emulator.guest.system.peers import Address
from podflare_emulator.hosting.channel import Channel
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.init import Init
from podflare_emulator.hosting.jails import Branch, Jail
from podflare_emulator.hosting.output import Output, Sink
from podflare_emulator.hosting.terminal import Terminal

_CHANGES_NOTHING = ("fork", "branch", "show")
_FILES_A_MESSAGE = 200  # each brings a descriptor, of which the kernel lets few travel at once

_Arrived = tuple[Message, list[int]]  # an answer, and the descriptors that came with it


@dataclass(frozen=True)
class Ended:
    """A guest has ended by itself. `code`: its exit code, or minus the signal; None if nobody can tell."""

    code: int | None

    @property
    def exit_code(self) -> int:
        """As a shell would tell it."""
        if self.code is None:
            return 128 + signal.SIGKILL
        return 128 - self.code if self.code < 0 else self.code

    def __str__(self) -> str:
        if self.code is None:
            return "ended"
        if self.code >= 0:
            return f"ended by itself with exit code {self.code}"
        try:
            name = f" ({signal.Signals(-self.code).name})"
        except ValueError:
            name = ""
        return f"was killed by signal {-self.code}{name}"


@dataclass(frozen=True)
class File:
    """A file to write: absolute path in the sandbox, permission bits, and a descriptor of its content."""

    path: str
    mode: int
    content: int


@dataclass(frozen=True)
class Forked:
    """What a live fork has made, and how many threads and processes only the parent has.

    `at_rest`: nothing happens in the parent, nor in the children, until they are told something.
    """

    children: list[Guest]
    threads: int
    processes: int
    at_rest: bool


@dataclass(frozen=True)
class CommandTable:
    """Which commands are answered in a sandbox, and by what; see guest/interpreter/commands.py.

    `version` tells it from others.
    """

    version: int
    entries: Sequence[Message]


NO_COMMANDS = CommandTable(0, ())


class Ends:
    """The descriptors of a guest that is to be made: three to keep, three to give away."""

    def __init__(self) -> None:
        self.socket, control = socket.socketpair()
        out, write_out = os.pipe()
        err, write_err = os.pipe()
        for number in (write_out, write_err):
            os.fchmod(number, 0o666)  # for /dev/stderr: whoever opens it there need not be who we are
        self.kept = (out, err)
        self.given = (control.detach(), write_out, write_err)

    def close_kept(self) -> None:
        self.socket.close()
        for number in self.kept:
            os.close(number)


class Guest:
    """Made by `arrive`, which waits for the process to say that it is ready."""

    def __init__(self, ends: Ends, jail: Jail, init: Init) -> None:
        self._loop = asyncio.get_running_loop()
        self._init = init
        self._ready: asyncio.Future[Message] = self._loop.create_future()
        self._on_exit: Callable[[int | Ended], None] | None = None
        self._answers: deque[asyncio.Future[_Arrived]] = deque()
        self._closing = False
        self._doomed = False
        self._mark = ""
        self._let_in: tuple[Address, ...] = ()
        self._commands = NO_COMMANDS.version  # of the table that it has
        self._left: list[int] = []  # descriptors of trees that it has stood on
        self._interrupts = 0  # sent so far: tells the guest which of them were meant for earlier execs
        self._threads = 0  # that its process has started while it became a guest
        self.pid = 0
        self.jail = jail
        self.take_jails: Callable[
            [int], Awaitable[list[Jail]]
        ]  # that its forks may have, from who has made it
        self.ended: Ended | None = None
        self.gone = asyncio.Event()  # with `ended`
        self.sink: Sink = lambda stream, data: None
        self.called: Callable[[list[tuple[int, list[str]]]], None] = lambda calls: None
        self.stirs: Callable[[], None] = lambda: None  # it may be another from now on, or is about to end
        self.output = Output(*ends.kept, lambda stream, data: self.sink(stream, data))
        self._channel = Channel(ends.socket, self._received, self._closed)
        init.join()

    async def arrive(self) -> None:
        """Waits until the process is ready; raises HostingError, with its reason, when it cannot be."""
        message = await asyncio.shield(self._ready)
        if "copy" in message:
            self._ready = self._loop.create_future()
            try:
                copied = await self.jail.copy(message["copy"])
            except HostingError as error:
                copied = {"failed": str(error)}
            self._channel.send({"op": "copied", **copied})
            message = await asyncio.shield(self._ready)
        if "failed" in message:
            raise HostingError(message["failed"])
        self.jail.is_awaited = False
        self.pid, self._mark, self._threads = message["ready"], message["mark"], message["threads"]
        self._init.watch(self.pid)

    @property
    def lives(self) -> bool:
        """False as soon as its process is known to have ended; how, `ended` tells a little later."""
        return not (self.ended or self._channel.closed)

    def execute(
        self,
        code: str,
        language: str,
        on_exit: Callable[[int | Ended], None],
        commands: CommandTable = NO_COMMANDS,
    ) -> None:
        """Starts code; `sink` gets its output, then `on_exit` is called with its exit code or the guest's end.

        Before that, `called` is told which of the `commands` were called: the entry's number, and the arguments.
        """
        self.stirs()
        self._on_exit = on_exit
        message = {"op": "exec", "code": code, "language": language, "interrupts": self._interrupts}
        if commands.version != self._commands:
            message["commands"] = commands.entries
            self._commands = commands.version
        try:
            self._channel.send(message)
        except HostingError:
            if self.ended:
                self._finish(self.ended)  # else _closed is still finding out how

    async def interrupt(self) -> None:
        """Ctrl-C for the running code; returns when it has been sent, so that it cannot hit the next one."""
        if self.pid and not self._init.channel.closed:
            self._interrupts += 1
            await self._init.signal(self.pid, signal.SIGINT)

    def kill(self) -> Coroutine[Any, Any, None]:
        """Ends the interpreter alone, as somebody else would; what it returns waits until the signal has been sent.

        From now on the code that runs ends with the interpreter, even if it comes to its own end before.
        """
        self._doomed = True
        return self._init.signal(self.pid, signal.SIGKILL)

    async def fork(self, jails: list[Jail], files: str = "auto") -> Forked:
        """Children in these jails, which are theirs from now on. All or none: raises HostingError.

        `files`: how they come by the parent's; see guest/fork/ways.py.
        """
        unused = [*jails]
        children: list[Guest] = []
        ends: list[Ends] = []
        descriptors: list[int] = []
        try:
            for jail in jails:
                ends.append(Ends())
                descriptors += (*ends[-1].given, *jail.give_entrance())
        except OSError as error:  # too many open files, here
            for number in descriptors:
                os.close(number)
            _close_kept(ends)
            await _end_all(children, unused)
            raise HostingError(f"no child can be made: {error}") from error
        try:
            order = {"op": "fork", "children": [jail.ticket for jail in jails], "files": files}
            answering = self._order(order, descriptors)
            while ends:  # the guest is busy meanwhile
                child = Guest(ends.pop(0), unused.pop(0), self._init)
                child.take_jails = self.take_jails
                child._commands = self._commands
                child._interrupts = self._interrupts  # its process remembers what the parent's has seen
                children.append(child)
            asking = asyncio.ensure_future(self._fork(jails, answering))
            # Begun, it must come to its end: the guest waits in the middle of it.
            await _all([asyncio.shield(asking), *(child.arrive() for child in children)])
            if self._let_in:
                await _all(child.let_in(self._let_in) for child in children)
        except BaseException:
            _close_kept(ends)
            await _end_all(children, unused)
            raise
        finally:
            self._close_left()
        answer = asking.result()
        left_behind = answer["threads"], answer["processes"]
        at_rest = not (any(left_behind) or answer["timers"] or any(child._threads for child in children))
        return Forked(children, *left_behind, at_rest)

    async def _fork(self, jails: Sequence[Jail], answering: asyncio.Future[_Arrived]) -> Message:
        """The guest may ask for trees that share layers, before it forks."""
        answer, _ = _checked(await answering)
        if "branch" not in answer:
            return answer
        freeze = answer["branch"] == "freeze"
        try:
            branch = await self.jail.branch(jails, freeze=freeze)
        except HostingError:
            branch = Branch(0, [])  # then files are copied
        answer, self._left = await self._ask({"op": "branch", "depth": branch.depth}, branch.descriptors)
        if "stayed" in answer:
            self.jail.stay()
            raise HostingError(answer["stayed"])
        return answer

    def _close_left(self) -> None:
        """Not before all children have closed theirs: the last to do so has much to do."""
        if self._left:
            left, self._left = self._left, []
            self._init.close(left)

    async def follow(self, other: Guest) -> int:
        """Makes this sandbox's tree equal to the other's, and `random` go on as there; raises HostingError.

        Returns how many processes only the other runs.
        """
        shown, tree = await other._ask({"op": "show"})
        answer, _ = await self._ask({**shown, "op": "follow"}, tree)
        self._commands = other._commands
        return int(answer["processes"])

    async def pack(self, archive: int) -> Message:
        """Writes the sandbox's tree into a file; what it answers is for `unpack`. Raises HostingError."""
        answer, _ = await self._ask({"op": "pack"}, [os.dup(archive)])
        return answer

    async def unpack(self, packed: Message, archive: int) -> None:
        """Makes the sandbox's tree, and `random`, what they were in the one that was packed; raises HostingError."""
        await self._ask({"op": "unpack", "packed": packed}, [os.dup(archive)])

    async def _ask(self, message: Message, descriptors: Sequence[int] = ()) -> _Arrived:
        """Sends what is no exec, and waits for its answer; raises HostingError, with its reason, for a refusal."""
        return _checked(await self._order(message, descriptors))

    def _order(self, message: Message, descriptors: Sequence[int]) -> asyncio.Future[_Arrived]:
        """Sends it at once. Guests answer in order."""
        if message["op"] not in _CHANGES_NOTHING:
            self.stirs()
        arriving: asyncio.Future[_Arrived] = self._loop.create_future()
        self._channel.send(message, descriptors)
        self._answers.append(arriving)
        return arriving

    async def write(self, files: Sequence[File]) -> None:
        """Writes files in the sandbox; raises HostingError for one that cannot be. Not while code runs."""
        held = [os.dup(file.content) for file in files]  # whoever owns them may let go meanwhile
        for start in range(0, len(files), _FILES_A_MESSAGE):
            batch = slice(start, start + _FILES_A_MESSAGE)
            described = [{"path": file.path, "mode": file.mode} for file in files[batch]]
            try:
                await self._ask({"op": "write", "files": described}, held[batch])
            except BaseException:
                for number in held[start + _FILES_A_MESSAGE :]:
                    os.close(number)
                raise

    async def start_terminal(
        self, order: Message, sink: Callable[[bytes], None], on_exit: Callable[[int | None], None]
    ) -> Terminal:
        """Starts a program on a terminal of its own; raises HostingError when it cannot be. Not while code runs.

        `order`: see guest/interpreter/terminals.py; `sink` and `on_exit`: see Terminal.
        """
        answer, (descriptor,) = await self._ask({"op": "terminal", **order})
        return Terminal(descriptor, answer["pid"], self._init, sink, on_exit)

    async def set_variables(self, variables: Mapping[str, str]) -> None:
        """Of the environment, for all that the sandbox runs from now on; raises HostingError. Not while code runs."""
        await self._ask({"op": "environment", "variables": dict(variables)})

    async def let_in(self, addresses: Iterable[Address]) -> None:
        """Servers of this machine's that the sandbox, and its forks, find at the same address; raises HostingError.

        One that has this machine's network finds them anyway.
        """
        self._let_in = tuple(addresses)
        if self.jail.network:
            await self.jail.network.let_in(self._let_in)

    async def echo_last_expressions(self) -> None:
        """Of the Python code that it runs from now on; raises HostingError. Not while code runs."""
        await self._ask({"op": "echo"})

    async def inspect(self, question: Message) -> Message:
        """Asks what is in the sandbox; raises HostingError when that cannot be told. Not while code runs."""
        answer, _ = await self._ask({"op": "inspect", **question})
        self.output.drain()  # handlers of the user's may have printed: that belongs to no exec
        return answer

    async def stop(self) -> None:
        """The sandbox and all it has started take no processor time, until `go_on`; raises HostingError."""
        self.stirs()
        await self._init.stop(self.pid, self._mark)

    async def go_on(self) -> None:
        """It is where it was when it was stopped; raises HostingError."""
        await self._init.go_on(self._mark)

    async def end(self) -> None:
        """Kills the sandbox and all it has started; returns when nothing of it runs."""
        if self._closing:
            return
        self._closing = True
        self.stirs()
        left = False
        if self.pid and not self._init.channel.closed:
            with contextlib.suppress(HostingError):  # the init is gone, and with it all that it was init of
                await self._init.end(0 if self.ended else self.pid, self._mark)
                left = True
        self._channel.close()
        self._close_left()
        self._init.leave()
        self.output.close()
        self.jail.let_go(left=left)

    def _received(self, message: Message, descriptors: list[int]) -> None:
        if "exit" in message:
            self.output.drain()
            if "called" in message:
                self.called(message["called"])
            if not self._doomed:
                self._finish(message["exit"])
        elif not self._ready.done():
            self._ready.set_result(message)
        else:
            arriving = self._answers.popleft()
            if not arriving.done():
                arriving.set_result((message, descriptors))
            else:  # nobody waits for it any more
                for number in descriptors:
                    os.close(number)

    def _finish(self, result: int | Ended) -> None:
        on_exit, self._on_exit = self._on_exit, None
        if on_exit:
            on_exit(result)

    def _closed(self) -> None:
        """The process has closed its socket: it has ended, unless it is we who ended it."""
        if not self._ready.done():
            self._ready.set_result({"failed": "the process ended before it was ready"})
        if self._closing:
            self._end_as(Ended(-signal.SIGKILL))
        else:
            self._obituary = self._loop.create_task(self._find_out())

    async def _find_out(self) -> None:
        self._end_as(Ended(await self._init.exit_code(self.pid) if self.pid else None))

    def _end_as(self, ended: Ended) -> None:
        self.stirs()
        self.ended = ended
        self.gone.set()
        self.output.drain()
        self._finish(ended)
        for arriving in self._answers:
            if not arriving.done():
                arriving.set_exception(HostingError(f"the sandbox's interpreter {ended}"))


def _checked(arrived: _Arrived) -> _Arrived:
    """Raises HostingError where an answer says that nothing came of it."""
    if "failed" in arrived[0]:
        raise HostingError(arrived[0]["failed"])
    return arrived


def _close_kept(ends: Iterable[Ends]) -> None:
    for end in ends:
        end.close_kept()


async def _all(waited_for: Iterable[Awaitable[object]]) -> None:
    """Waits for all of them, then raises the first failure, if any."""
    results = await asyncio.gather(*waited_for, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _end_all(guests: Iterable[Guest], jails: Iterable[Jail]) -> None:
    for jail in jails:
        jail.let_go()
    await asyncio.gather(*(guest.end() for guest in guests))
