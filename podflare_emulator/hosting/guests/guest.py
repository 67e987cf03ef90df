"""The host's handle on a guest: the interpreter of one sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from podflare_emulator.guest.protocol import Message
from podflare_emulator.guest.system.peers import Address
from podflare_emulator.hosting.channel import Channel
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guests.ended import Ended
from podflare_emulator.hosting.guests.ends import Ends, close_all, close_kept
from podflare_emulator.hosting.guests.orders import NO_COMMANDS, CommandTable, Files
from podflare_emulator.hosting.guests.output import Output, Sink
from podflare_emulator.hosting.guests.terminal import Terminal
from podflare_emulator.hosting.init import Init
from podflare_emulator.hosting.jails import Branch, Jail

_CHANGES_NOTHING = ("fork", "branch", "copied", "show")

_Arrived = tuple[Message, list[int]]  # an answer, and the descriptors that came with it


class Forked(Struct, frozen=True):
    """The children of a live fork, and how many threads and processes only the parent has.

    `at_rest`: nothing happens in the parent or the children until they get a message.
    """

    children: list[Guest]
    threads: int
    processes: int
    at_rest: bool


class Guest:
    """One guest. Usable after `arrive`, which waits for the process to report that it is ready."""

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
        self._commands = NO_COMMANDS.version  # of the table that the process has
        self._left: list[int] = []  # descriptors of trees that it has left
        self._interrupts = 0  # sent so far: shows the guest which of them were meant for earlier execs
        self._threads = 0  # started by its process on the way to becoming a guest
        self.pid = 0
        self.jail = jail
        # Jails for its forks; set by whichever object made this guest.
        self.take_jails: Callable[[int], Awaitable[list[Jail]]]
        self.ended: Ended | None = None
        self.gone = asyncio.Event()  # set together with `ended`
        self.sink: Sink = lambda stream, data: None
        self.called: Callable[[list[tuple[int, list[str]]]], None] = lambda calls: None
        self.stirs: Callable[[], None] = lambda: (
            None
        )  # called when its state may change, or it is about to end
        self.output = Output(*ends.kept, lambda stream, data: self.sink(stream, data))
        self._channel = Channel(ends.socket, self._received, self._closed)
        init.join()

    async def arrive(self) -> None:
        """Waits until the process is ready; raises HostingError, with the process's reason, if it fails."""
        message = await asyncio.shield(self._ready)
        if "failed" in message:
            raise HostingError(message["failed"])
        self.jail.is_awaited = False
        self.pid, self._mark, self._threads = message["ready"], message["mark"], message["threads"]
        self._init.watch(self.pid)

    @property
    def lives(self) -> bool:
        """False as soon as its process is known to have ended. `ended`, set a little later, says how."""
        return not (self.ended or self._channel.closed)

    def execute(
        self,
        code: str,
        language: str,
        on_exit: Callable[[int | Ended], None],
        commands: CommandTable = NO_COMMANDS,
    ) -> None:
        """Starts code; `sink` gets its output, then `on_exit` is called with its exit code or the guest's end.

        Before that, `called` gets the calls of `commands`: each entry's number, and the arguments.
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
                self._finish(self.ended)  # else _closed is still finding out how it ended

    async def interrupt(self) -> None:
        """Ctrl-C for the running code; returns when it has been sent, so that it cannot hit the next exec."""
        if self.pid and not self._init.channel.closed:
            self._interrupts += 1
            await self._init.signal(self.pid, signal.SIGINT)

    def kill(self) -> Coroutine[Any, Any, None]:
        """Kills only the interpreter, as a signal from elsewhere would; the result waits until the signal is sent.

        From now on the running exec counts as ended by the kill, even if the code finishes first.
        """
        self._doomed = True
        return self._init.signal(self.pid, signal.SIGKILL)

    async def fork(self, jails: list[Jail], files: str = "auto") -> Forked:
        """Forks one child into each of these jails, which it takes over. All or none: raises HostingError.

        `files`: how the children get the parent's files; see guest/fork/ways.py.
        """
        unused = [*jails]
        children: list[Guest] = []
        ends: list[Ends] = []
        descriptors: list[int] = []
        try:
            for jail in jails:
                ends.append(Ends())
                descriptors += (*ends[-1].given, *jail.give_entrance())
        except HostingError:
            close_all(descriptors)
            close_kept(ends)
            await _end_all(children, unused)
            raise
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
            # Once begun, it must run to completion: the guest waits for us in the middle of it.
            await _all([asyncio.shield(asking), *(child.arrive() for child in children)])
            if self._let_in:
                await _all(child.let_in(self._let_in) for child in children)
        except BaseException:
            close_kept(ends)
            await _end_all(children, unused)
            raise
        finally:
            self._close_left()
        answer = asking.result()
        left_behind = answer["threads"], answer["processes"]
        at_rest = not (any(left_behind) or answer["timers"] or any(child._threads for child in children))
        return Forked(children, *left_behind, at_rest)

    async def _fork(self, jails: Sequence[Jail], answering: asyncio.Future[_Arrived]) -> Message:
        """Before it forks, the guest may ask for copies of its tree, or for trees that share layers."""
        answer, _ = _checked(await answering)
        if "copy" in answer:
            try:
                copied = await self.jail.copy(jails, answer["copy"])
            except HostingError as error:
                copied = {"failed": str(error)}
            answer, _ = await self._ask({"op": "copied", **copied})
        if "branch" not in answer:
            return answer
        freeze = answer["branch"] == "freeze"
        try:
            branch = await self.jail.branch(jails, freeze=freeze)
        except HostingError:
            branch = Branch(0, [])  # files are copied instead
        answer, self._left = await self._ask({"op": "branch", "depth": branch.depth}, branch.descriptors)
        if "stayed" in answer:
            self.jail.stay()
            raise HostingError(answer["stayed"])
        return answer

    def _close_left(self) -> None:
        """Only once all children have closed theirs: the last close of a tree is expensive."""
        if self._left:
            left, self._left = self._left, []
            self._init.close(left)

    async def follow(self, other: Guest) -> int:
        """Copies the other sandbox's tree and the state of its `random` into this one; raises HostingError.

        Returns how many processes run only in the other one.
        """
        shown, tree = await other._ask({"op": "show"})
        answer, _ = await self._ask({**shown, "op": "follow"}, tree)
        self._commands = other._commands
        return int(answer["processes"])

    async def pack(self, archive: int) -> Message:
        """Writes the sandbox's tree into a file; pass the result to `unpack`. Raises HostingError."""
        answer, _ = await self._ask({"op": "pack"}, [os.dup(archive)])
        return answer

    async def unpack(self, packed: Message, archive: int) -> None:
        """Restores the tree of a packed sandbox, and the state of its `random`; raises HostingError."""
        await self._ask({"op": "unpack", "packed": packed}, [os.dup(archive)])

    async def _ask(self, message: Message, descriptors: Sequence[int] = ()) -> _Arrived:
        """Sends any order but an exec, and waits for the answer; raises HostingError, with the reason, if refused."""
        return _checked(await self._order(message, descriptors))

    def _order(self, message: Message, descriptors: Sequence[int]) -> asyncio.Future[_Arrived]:
        """Sends the message immediately. Guests answer in order."""
        if message["op"] not in _CHANGES_NOTHING:
            self.stirs()
        arriving: asyncio.Future[_Arrived] = self._loop.create_future()
        self._channel.send(message, descriptors)
        self._answers.append(arriving)
        return arriving

    async def write(self, files: Files) -> None:
        """Writes files in the sandbox; raises HostingError if one cannot be written. Not while code runs."""
        await self._ask({"op": "write", "files": files.entries}, [os.dup(files.contents.fileno())])

    async def start_terminal(
        self, order: Message, sink: Callable[[bytes], None], on_exit: Callable[[int | None], None]
    ) -> Terminal:
        """Starts a program on a new terminal; raises HostingError if that fails. Not while code runs.

        `order`: see guest/interpreter/terminals.py; `sink` and `on_exit`: see Terminal.
        """
        answer, (descriptor,) = await self._ask({"op": "terminal", **order})
        return Terminal(descriptor, answer["pid"], self._init, sink, on_exit)

    async def set_variables(self, variables: Mapping[str, str]) -> None:
        """Sets environment variables for later code in the sandbox; raises HostingError. Not while code runs."""
        await self._ask({"op": "environment", "variables": dict(variables)})

    async def let_in(self, addresses: Iterable[Address]) -> None:
        """Lets the sandbox and its forks reach servers on this machine at these addresses; raises HostingError.

        A sandbox with this machine's network reaches them anyway.
        """
        self._let_in = tuple(addresses)
        if self.jail.network:
            await self.jail.network.let_in(self._let_in)

    async def echo_last_expressions(self) -> None:
        """From now on prints the value of Python code's last expression; raises HostingError. Not while code runs."""
        await self._ask({"op": "echo"})

    async def inspect(self, question: Message) -> Message:
        """Asks about the sandbox's contents; raises HostingError if there is no answer. Not while code runs."""
        answer, _ = await self._ask({"op": "inspect", **question})
        self.output.drain()  # the user's handlers may have printed: that belongs to no exec
        return answer

    async def stop(self) -> None:
        """Pauses the sandbox and everything it has started until `go_on`; raises HostingError."""
        self.stirs()
        await self._init.stop(self.pid, self._mark)

    async def go_on(self) -> None:
        """Resumes a stopped sandbox where it was; raises HostingError."""
        await self._init.go_on(self._mark)

    async def end(self) -> None:
        """Kills the sandbox and everything it has started; returns when none of it runs."""
        if self._closing:
            return
        self._closing = True
        self.stirs()
        left = False
        if self.pid and not self._init.channel.closed:
            with contextlib.suppress(HostingError):  # the init is gone, and all its processes with it
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
            else:  # nobody waits for it now
                close_all(descriptors)

    def _finish(self, result: int | Ended) -> None:
        on_exit, self._on_exit = self._on_exit, None
        if on_exit:
            on_exit(result)

    def _closed(self) -> None:
        """The process has closed its socket: it has ended by itself, unless we are ending it."""
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
    """Raises HostingError if the answer reports a failure."""
    if "failed" in arrived[0]:
        raise HostingError(arrived[0]["failed"])
    return arrived


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
