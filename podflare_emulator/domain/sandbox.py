"""One sandbox: its exec queue, its forks, its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from podflare_emulator.domain.events import Event, EventType, Lines, weight
from podflare_emulator.domain.forking import ForkEngine
from podflare_emulator.domain.history import Call, Digest
from podflare_emulator.domain.ledger import Exec, Ledger
from podflare_emulator.domain.machine import Machine
from podflare_emulator.domain.terminals import Session, TerminalOrder, Terminals
from podflare_emulator.domain.testing.commands import Commands
from podflare_emulator.domain.testing.death import LastWords
from podflare_emulator.domain.testing.questions import AskedExec
from podflare_emulator.domain.testing.stubs import Stubs
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guest import Ended
from podflare_emulator.hosting.output import Stream
from podflare_emulator.vocabulary.answers import Answer, Step
from podflare_emulator.vocabulary.clock import Clock
from podflare_emulator.vocabulary.sandbox_errors import GuestFailed, InvalidRequest, SandboxNotFound
from podflare_emulator.vocabulary.tiers import Lifespan

Language = Literal["python", "bash"]
_Result = TypeVar("_Result")

MOST_CHILDREN = 32  # contract: of one fork
# What waits for a slow reader before the sandbox has to wait too, as it would on a pipe.
_UNREAD_EVENTS = 20_000
_UNREAD_CHARACTERS = 32 << 20
_INTERRUPTED = 130  # as a shell tells it
SEVERED = 137  # how code, or a terminal, ends for who watches it when its sandbox is frozen: as on a delete


@dataclass(frozen=True)
class Forked:
    """The children, and what is not in them as it is in the parent; see `Copies`."""

    children: list[Sandbox]
    threads_left_behind: int = 0
    processes_left_behind: int = 0
    replay_differences: tuple[int, ...] = ()


class Execution:
    """One running exec. The code goes on whether anybody reads the events or not.

    `entry`: where it is told of; None for code that is run to find the answer of another exec.
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
        """Instead of `start`: says what a stub does. Nothing reaches the guest, nor the history of a replay."""
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
        """Its sandbox is frozen: who reads it hears what he would on a delete. The code goes on with the machine."""
        self._severed = True
        self._resume()
        self._machine.rest()
        if self._saying:
            self._saying.cancel()
            self.finished = True
        self._tell_end(SEVERED)
        self.hand_over(lambda: None)

    def hand_over(self, done: Callable[[], None]) -> None:
        """From now on it is another turn that it holds until it has finished; the one that it held is free."""
        held, self._done = self._done, done
        held()

    async def next_events(self) -> list[Event]:
        """Waits until there is at least one; the batch that holds the exit event is the last."""
        if not self._unread:
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        events = self._unread
        self._forget_unread()
        return events

    async def outcome(self) -> Answer:
        """Waits for its end, and collects what it prints; whoever waits no more interrupts it."""
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
        """The client has gone away: interrupts the code. Code that will not stop is left running, as a VM would."""
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
            pass  # its init is gone, and so is what was to be interrupted
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
            self.hand_over(lambda: None)  # an interrupt that is still on its way must not do it once more
            return
        self._resume()  # the next exec must not find it paused
        self._machine.rest()
        if isinstance(result, Ended):
            for stream, lines in self._lines.items():
                self._tell(stream, lines.rest())
            self._tell(
                "stderr",
                [f"podflare: the sandbox's interpreter {result}; the sandbox cannot run code any more"],
            )
            result = result.exit_code
        else:
            self._remember(result)
        self._tell_end(result)
        if not self._interrupting:  # else an interrupt is on its way, and must not hit the next exec
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


@dataclass(frozen=True)
class Frozen:
    """A machine that stands still. `running`: what runs in it as soon as it goes on."""

    machine: Machine
    running: Execution | None


class Sandbox:
    """The bearer of an id. Execs, forks and merges take turns, in order of arrival."""

    def __init__(
        self,
        sandbox_id: str,
        machine: Machine,
        engine: ForkEngine,
        adopt: Callable[[Machine, Sandbox], Sandbox],
        ledger: Ledger,
        stubs: Stubs,
        commands: Commands,
        clock: Clock,
        span: Lifespan,
    ) -> None:
        """`adopt` makes a sandbox of the machine of a fork's child, and of its parent."""
        self.id = sandbox_id
        self.machine: Machine | None = machine
        self.turn = asyncio.Lock()
        self._engine = engine
        self._adopt = adopt
        self._ledger = ledger
        self._stubs = stubs
        self._commands = commands
        self._clock = clock
        self.span = span
        self._running: Execution | None = None
        self._left = asyncio.Event()
        self.use()

    def use(self) -> None:
        """It is not idle: something is executed, or typed into a terminal of it."""
        self.used = self._clock.time()

    def _rest(self) -> None:
        """What has run, runs no longer."""
        self._running = None
        self.use()
        self.turn.release()

    async def exec(self, code: str, language: Language, last_words: LastWords | None = None) -> Execution:
        """Waits for its turn, and starts; raises SandboxNotFound, GuestFailed.

        While a function of the test's thinks about its answer, others take theirs: it may itself use the sandbox.
        """
        decision = None
        if self._stubs:
            self.working_machine()  # no stub is used up by an exec that cannot be
            call = AskedExec(code, language, self.id, lambda code: self._run_real(code, language))
            deciding = self._stubs.decide(call)
            # Where no function is asked nothing is waited for, so that nobody who came later has the turn first.
            decision = await (self._while_it_lives(deciding) if self._stubs.ask else deciding)
        await self.turn.acquire()
        try:
            machine = self.working_machine()
            entry = self._ledger.exec(self.id, language, code)
            if decision:
                entry.stub = decision.stub.name
                if decision.error is not None:
                    await self._fail(entry, decision.stub.delay, decision.error)
            execution = Execution(machine, self._clock, self._rest, entry)
            if last_words and not decision:
                await last_words.before(machine.guest)
        except BaseException:
            self.turn.release()
            raise
        self._running = execution
        if decision:
            execution.answer(decision.answer.steps(decision.stub.delay), decision.answer.exit_code)
        else:
            execution.start(code, language, self._commands)
            if last_words:
                last_words.hear(machine.guest)
        return execution

    async def _fail(self, entry: Exec, delay: float, error: str) -> None:
        """The service fails where the test's author wants it to; raises GuestFailed."""
        try:
            await self._while_it_lives(self._clock.wait((), self._clock.time() + delay))
            raise GuestFailed(error)
        except BaseException as reason:
            entry.fail(str(reason) or "the client has gone")
            raise

    async def _run_real(self, code: str, language: Language) -> Answer:
        """For a function of the test's: what comes of the code."""
        await self.turn.acquire()
        try:
            execution = Execution(self.working_machine(), self._clock, self._rest, None)
        except BaseException:
            self.turn.release()
            raise
        self._running = execution
        execution.start(code, language, self._commands)
        return await execution.outcome()

    async def _while_it_lives(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Waits for work; raises SandboxNotFound, GuestFailed as soon as there is nobody to do it for."""
        waited_for: list[asyncio.Future[Any]] = [asyncio.ensure_future(work)]
        working: asyncio.Future[_Result] = waited_for[0]
        try:
            while not working.done():  # a merge gives it another machine
                ends = (self.working_machine().guest.gone, self._left)
                waited_for[1:] = [asyncio.ensure_future(end.wait()) for end in ends]
                await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
            return working.result()
        finally:
            for one in waited_for:
                one.cancel()

    async def fork(self, n: int) -> Forked:
        """`n` children, or none: raises InvalidRequest, SandboxNotFound, GuestFailed."""
        if not 1 <= n <= MOST_CHILDREN:
            raise InvalidRequest(f"n: expected 1 to {MOST_CHILDREN}, got {n}")
        async with self.turn:
            machine = self.working_machine()
            if not machine.forkable:
                raise GuestFailed(
                    "a sandbox created with custom ram_mib or rootfs_gb cannot be forked: it skipped the warm pool"
                )
            try:
                copies = await self._engine.fork(machine, n)
            except HostingError as error:
                if self.machine is not machine:  # destroyed meanwhile
                    raise SandboxNotFound from None
                raise GuestFailed(f"fork failed: {error}") from error
            if self.machine is not machine:
                await asyncio.gather(*(guest.end() for guest in copies.guests))
                raise SandboxNotFound
            children = [self._adopt(machine.child(guest), self) for guest in copies.guests]
            self._ledger.fork(self.id, [child.id for child in children])
            return Forked(children, copies.threads, copies.processes, copies.differences)

    async def start_terminal(self, order: TerminalOrder) -> Session:
        """Waits for its turn; raises SandboxNotFound, GuestFailed."""
        async with self.turn:
            machine = self.working_machine()
            self.use()
            try:
                return await machine.terminals.start(machine.guest, order, self._clock.now())
            except HostingError as error:
                if self.machine is not machine:
                    raise SandboxNotFound from None
                raise GuestFailed(str(error)) from error

    async def freeze(self, keep: Callable[[Machine], Awaitable[None]]) -> Frozen:
        """Takes its machine from it, and stops that; what waits or runs ends as on a delete. Raises HostingError.

        `keep` gets the machine before it is stopped, unless code runs in it.
        """
        machine = self.working_machine()
        running = self._running
        self.machine = None
        self._left.set()
        machine.terminals.sever()
        if running:
            running.sever()
        async with self.turn:  # a fork that is under way comes to its end
            if running is None or running.finished:
                await keep(machine)
            if machine.guest.ended:
                raise HostingError(f"the sandbox's interpreter {machine.guest.ended}")
            await machine.guest.stop()
        return Frozen(machine, running if running and not running.finished else None)

    async def go_on(self, frozen: Frozen) -> None:
        """What stood still in its machine goes on; an exec has its turn after it. Raises HostingError."""
        if frozen.running:
            await self.turn.acquire()
            self._running = frozen.running
            frozen.running.hand_over(self._rest)
        await frozen.machine.guest.go_on()

    @property
    def terminals(self) -> Terminals:
        """Raises SandboxNotFound."""
        if self.machine is None:
            raise SandboxNotFound
        return self.machine.terminals

    def replay(self) -> list[Event]:
        if self.machine is None:
            raise SandboxNotFound
        return self.machine.journal.recent()

    def working_machine(self) -> Machine:
        """Raises SandboxNotFound, GuestFailed where there is none."""
        if self.machine is None:
            raise SandboxNotFound
        if self.machine.guest.ended:
            raise GuestFailed(
                f"agent did not respond: the sandbox's interpreter {self.machine.guest.ended}; create a new sandbox"
            )
        return self.machine
