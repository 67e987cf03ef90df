"""The host's handle on a guest: the interpreter of one sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from podflare_emulator.guest.protocol import Message
from podflare_emulator.hosting.channel import Channel
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.init import Init
from podflare_emulator.hosting.jails import Jail
from podflare_emulator.hosting.output import Output, Sink

_FILES_A_MESSAGE = 200  # each brings a descriptor, of which the kernel lets few travel at once


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


class Ends:
    """The descriptors of a guest that is to be made: three to keep, three to give away."""

    def __init__(self) -> None:
        self.socket, control = socket.socketpair()
        out, write_out = os.pipe()
        err, write_err = os.pipe()
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
        self._forked: asyncio.Future[Message] | None = None
        self._written: asyncio.Future[Message] | None = None
        self._closing = False
        self._mark = ""
        self._interrupts = 0  # sent so far: tells the guest which of them were meant for earlier execs
        self.pid = 0
        self.jail = jail
        self.ended: Ended | None = None
        self.sink: Sink = lambda stream, data: None
        self.output = Output(*ends.kept, lambda stream, data: self.sink(stream, data))
        self._channel = Channel(ends.socket, self._received, self._closed)
        init.join()

    async def arrive(self) -> None:
        """Waits until the process is ready; raises HostingError, with its reason, when it cannot be."""
        message = await self._ready
        if "failed" in message:
            raise HostingError(message["failed"])
        self.pid, self._mark = message["ready"], message["mark"]
        self._init.watch(self.pid)

    def execute(self, code: str, language: str, on_exit: Callable[[int | Ended], None]) -> None:
        """Starts code; `sink` gets its output, then `on_exit` is called with its exit code or the guest's end."""
        self._on_exit = on_exit
        try:
            self._channel.send(
                {"op": "exec", "code": code, "language": language, "interrupts": self._interrupts}
            )
        except HostingError:
            if self.ended:
                self._finish(self.ended)  # else _closed is still finding out how

    async def interrupt(self) -> None:
        """Ctrl-C for the running code; returns when it has been sent, so that it cannot hit the next one."""
        if self.pid and not self._init.channel.closed:
            self._interrupts += 1
            await self._init.signal(self.pid, signal.SIGINT)

    async def fork(self, jails: list[Jail]) -> tuple[list[Guest], int]:
        """Children in these jails, and how many threads only the parent has. All or none: raises HostingError."""
        ends = [Ends() for _ in jails]
        children = [Guest(end, jail, self._init) for end, jail in zip(ends, jails, strict=True)]
        for child in children:
            child._interrupts = self._interrupts  # its process remembers what the parent's has seen
        descriptors = [
            number
            for end, jail in zip(ends, jails, strict=True)
            for number in (*end.given, *jail.give_entrance())
        ]
        self._forked = self._loop.create_future()
        try:
            self._channel.send({"op": "fork", "children": [jail.ticket for jail in jails]}, descriptors)
        except HostingError:
            await asyncio.gather(*(child.end() for child in children))
            raise
        results = await asyncio.gather(
            self._forked, *(child.arrive() for child in children), return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            await asyncio.gather(*(child.end() for child in children))
            raise HostingError(f"a forked child could not be made: {failures[0]}")
        assert isinstance(results[0], dict)
        return children, results[0]["threads"]

    async def write(self, files: Sequence[File]) -> None:
        """Writes files in the sandbox; raises HostingError for one that cannot be. Not while code runs."""
        held = [os.dup(file.content) for file in files]  # whoever owns them may let go meanwhile
        for start in range(0, len(files), _FILES_A_MESSAGE):
            batch = slice(start, start + _FILES_A_MESSAGE)
            self._written = self._loop.create_future()
            described = [{"path": file.path, "mode": file.mode} for file in files[batch]]
            self._channel.send({"op": "write", "files": described}, held[batch])
            answer = await self._written
            if "error" in answer:
                for number in held[start + _FILES_A_MESSAGE :]:
                    os.close(number)
                raise HostingError(answer["error"])

    async def end(self) -> None:
        """Kills the sandbox and all it has started; returns when nothing of it runs."""
        if self._closing:
            return
        self._closing = True
        if self.pid and not self._init.channel.closed:
            with contextlib.suppress(HostingError):  # the init is gone, and with it all that it was init of
                await self._init.end(0 if self.ended else self.pid, self.pid, self._mark)
        self._channel.close()
        self._init.leave()
        self.output.close()
        self.jail.let_go()

    def _received(self, message: Message, descriptors: list[int]) -> None:
        if "exit" in message:
            self.output.drain()
            self._finish(message["exit"])
        elif "written" in message:
            if self._written and not self._written.done():
                self._written.set_result(message)
        elif "forked" in message:
            if self._forked and not self._forked.done():
                if message["failure"]:
                    self._forked.set_exception(HostingError(message["failure"]))
                else:
                    self._forked.set_result(message)
        elif not self._ready.done():
            self._ready.set_result(message)

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
        self.ended = ended
        self.output.drain()
        self._finish(ended)
        if self._forked and not self._forked.done():
            self._forked.set_exception(HostingError(f"the sandbox's interpreter {ended}"))
        if self._written and not self._written.done():
            self._written.set_exception(HostingError(f"the sandbox's interpreter {ended}"))
