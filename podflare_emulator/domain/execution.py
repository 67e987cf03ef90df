"""One running exec: its output becomes events for the client, the journal and the history of a replay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

from podflare_emulator.domain.events import Event, EventType, Lines, weight
from podflare_emulator.domain.history import Call, Digest
from podflare_emulator.domain.ledger import Exec
from podflare_emulator.domain.machine import Machine
from podflare_emulator.domain.testing.commands import Commands
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guests.ended import Ended
from podflare_emulator.hosting.guests.output import Stream
from podflare_emulator.vocabulary.answers import Answer, Step
from podflare_emulator.vocabulary.clock import Clock

Language = Literal["python", "bash"]

# Output buffered for a slow reader; beyond that the sandbox blocks, as on a full pipe.
_UNREAD_EVENTS = 20_000
_UNREAD_CHARACTERS = 32 << 20
_INTERRUPTED = 130  # as a shell reports it
SEVERED = 137
"""The exit code that clients of code or a terminal see when the sandbox is frozen: as on a delete."""


class Execution:
    """One running exec. The code runs whether or not anybody reads the events.

    `entry`: its record in the ledger; None for code that is run to find the answer of another exec.
    """

    def __init__(self, machine: Machine, clock: Clock, done: Callable[[], None], entry: Exec | None) -> None:
        self._machine = machine
        self._clock = clock
        self._entry = entry
        self._done = done
        hidden = machine.guest.jail.hidden
        self._lines: dict[Stream, Lines] = {"stdout": Lines(hidden), "stderr": Lines(hidden)}
        self._digest = Digest()
        self._interrupted = False
        self._unread: list[Event] = []
        self._unread_characters = 0
        self._paused = False
        self._seq = 0
        self._arrived: asyncio.Future[None] | None = None
        self._abandoned = False
        self._interrupting: asyncio.Task[None] | None = None
        self._saying: asyncio.Task[None] | None = None
        self._severed = False
        self.finished = False

    def start(self, code: str, language: Language, commands: Commands) -> None:
        self._code = code if language == "python" else None
        self._commands, self._table = commands, commands.table
        self._machine.guest.sink = self._feed
        self._machine.guest.called = self._called
        self._machine.guest.execute(code, language, self._finish, self._table)

    def answer(self, steps: list[Step], exit_code: int) -> None:
        """Instead of `start`: answers as a stub says. Nothing reaches the guest or the history of a replay."""
        self._code = None
        if any(step.pause for step in steps):
            self._saying = asyncio.create_task(self._say(steps, exit_code))
            return
        for step in steps:
            self._tell(step.stream, step.lines)
        self._finish(exit_code)

    async def _say(self, steps: list[Step], exit_code: int) -> None:
        gone = asyncio.ensure_future(self._machine.guest.gone.wait())
        until = self._clock.time()
        try:
            for step in steps:
                if step.pause:
                    until += step.pause
                    await self._clock.wait([gone], until)
                if self._machine.guest.ended:
                    self._finish(self._machine.guest.ended)
                    return
                self._tell(step.stream, step.lines)
            self._finish(exit_code)
        finally:
            gone.cancel()

    def sever(self) -> None:
        """The sandbox is frozen: the client sees what it would see on a delete. The code stays with the machine."""
        self._severed = True
        self._resume()
        self._machine.rest()
        if self._saying:
            self._saying.cancel()
            self.finished = True
        self._tell_end(SEVERED)
        self.hand_over(lambda: None)

    def hand_over(self, done: Callable[[], None]) -> None:
        """Frees the turn that it holds, and holds another until it has finished, when `done` frees that."""
        held, self._done = self._done, done
        held()

    async def next_events(self) -> list[Event]:
        """Waits for at least one event; the batch with the exit event is the last."""
        if not self._unread:
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        events = self._unread
        self._forget_unread()
        return events

    async def outcome(self) -> Answer:
        """Waits for its end, and collects its output. Cancelling the wait interrupts the code."""
        said: dict[str, list[str]] = {"stdout": [], "stderr": []}
        try:
            while True:
                for event in await self.next_events():
                    if isinstance(event.data, int):
                        stdout, stderr = map("\n".join, said.values())
                        return Answer(stdout, stderr, event.data)
                    said[event.type].append(event.data)
        finally:
            await self.abandon()

    async def abandon(self) -> None:
        """The client has gone away: interrupts the code. Code that does not stop is left running, as in a VM."""
        self._abandoned = True
        self._forget_unread()
        if self._saying:
            self._saying.cancel()
            if not self.finished:
                self._finish(_INTERRUPTED)
        if not self.finished and self._interrupting is None:
            self._interrupted = True
            self._interrupting = asyncio.create_task(self._interrupt())
            await asyncio.shield(self._interrupting)

    def _forget_unread(self) -> None:
        self._unread = []
        self._unread_characters = 0
        self._resume()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._machine.guest.output.resume()

    async def _interrupt(self) -> None:
        try:
            await self._machine.guest.interrupt()
        except HostingError:
            pass  # its init is gone, and the interpreter with it
        finally:
            self._interrupting = None
            if self.finished:
                self._done()

    def _feed(self, stream: Stream, data: bytes) -> None:
        if self._machine.history:
            self._digest.feed(stream, data)
        self._tell(stream, self._lines[stream].feed(data))

    def _called(self, calls: list[tuple[int, list[str]]]) -> None:
        answered = self._commands.called(calls)
        if self._entry:
            self._entry.commands += answered

    def _tell(self, kind: EventType, items: Sequence[str | int]) -> None:
        if not items:
            return
        ts = self._clock.now()
        events = [Event(kind, item, seq, ts) for seq, item in enumerate(items, self._seq)]
        self._seq += len(events)
        if self._entry:
            self._machine.journal.add(events)
            self._entry.add(events)
        if self._abandoned:
            return
        self._unread += events
        self._unread_characters += weight(events)
        full = len(self._unread) >= _UNREAD_EVENTS or self._unread_characters >= _UNREAD_CHARACTERS
        if full and not self._paused and not self.finished:
            self._paused = True
            self._machine.guest.output.pause()
        if self._arrived and not self._arrived.done():
            self._arrived.set_result(None)

    def _finish(self, result: int | Ended) -> None:
        self.finished = True
        if self._severed:
            self._remember(result)
            self.hand_over(lambda: None)  # an interrupt that is still on its way must not free it again
            return
        self._resume()  # the next exec must not find it paused
        self._machine.rest()
        if isinstance(result, Ended):
            for stream, lines in self._lines.items():
                self._tell(stream, lines.rest())
            self._tell(
                "stderr",
                [f"podflare: the sandbox's interpreter {result}; the sandbox can no longer run code"],
            )
            result = result.exit_code
        else:
            self._remember(result)
        self._tell_end(result)
        if not self._interrupting:  # else keep the turn: an interrupt on its way must not hit the next exec
            self._done()

    def _tell_end(self, code: int) -> None:
        for stream, lines in self._lines.items():
            self._tell(stream, lines.rest())
        self._tell("exit", [code])

    def _remember(self, result: int | Ended) -> None:
        if self._machine.history and self._code is not None and not isinstance(result, Ended):
            interrupted = self._interrupted or self._severed
            call = Call(self._code, self._table, result, self._digest.value(), interrupted)
            self._machine.history.add(call)
