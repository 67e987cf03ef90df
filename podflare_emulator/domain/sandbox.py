"""One sandbox: its exec queue, its forks, its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from podflare_emulator.domain.events import Event
from podflare_emulator.domain.execution import Execution, Language
from podflare_emulator.domain.forking import Copies
from podflare_emulator.domain.ledger import Exec, Ledger
from podflare_emulator.domain.machine import Machine
from podflare_emulator.domain.terminals import Session, TerminalOrder, Terminals
from podflare_emulator.domain.testing.commands import Commands
from podflare_emulator.domain.testing.death import LastWords
from podflare_emulator.domain.testing.questions import AskedExec
from podflare_emulator.domain.testing.stubs import Stubs
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.vocabulary.answers import Answer
from podflare_emulator.vocabulary.clock import Clock
from podflare_emulator.vocabulary.sandbox_errors import GuestFailed, InvalidRequest, SandboxNotFound
from podflare_emulator.vocabulary.tiers import Lifespan

_Result = TypeVar("_Result")

MOST_CHILDREN = 32  # contract: in one fork
RESET = "the emulator was reset"
"""The error of what a reset has overtaken."""


class Forks(Protocol):
    """Makes copies of the machines of sandboxes."""

    async def fork(self, sandbox: Sandbox, n: int) -> Copies:
        """As `ForkEngine`, for the sandbox's machine. The caller has the sandbox's turn."""


class Forked(Struct, frozen=True):
    """The children, and how they differ from the parent; see `Copies`."""

    children: list[Sandbox]
    threads_left_behind: int = 0
    processes_left_behind: int = 0
    replay_differences: tuple[int, ...] = ()


class Frozen(Struct, frozen=True):
    """A stopped machine. `running`: the exec that continues when the machine does."""

    machine: Machine
    running: Execution | None


class Sandbox:
    """What a client addresses by an id. Execs, forks and merges take turns, in order of arrival."""

    def __init__(
        self,
        sandbox_id: str,
        machine: Machine,
        forks: Forks,
        adopt: Callable[[Machine, Sandbox], Sandbox],
        ledger: Ledger,
        stubs: Stubs,
        commands: Commands,
        clock: Clock,
        span: Lifespan,
    ) -> None:
        """`adopt(machine, parent)` makes a sandbox for a fork's child."""
        self.id = sandbox_id
        self.machine: Machine | None = machine
        self.turn = asyncio.Lock()
        self._forks = forks
        self._adopt = adopt
        self._ledger = ledger
        self._stubs = stubs
        self._commands = commands
        self._clock = clock
        self.span = span
        self.resets = 0  # that it has outlived: the children of a fork that began before do not
        self._running: Execution | None = None
        self._left = asyncio.Event()
        self.use()

    def use(self) -> None:
        """Marks it as not idle: code is executed, or input typed into one of its terminals."""
        self.used = self._clock.time()

    def _rest(self) -> None:
        """The running exec has finished."""
        self._running = None
        self.use()
        self.turn.release()

    async def exec(self, code: str, language: Language, last_words: LastWords | None = None) -> Execution:
        """Waits for its turn, and starts; raises SandboxNotFound, GuestFailed.

        While a function of the test works out its answer, other execs take their turns: it may use the sandbox itself.
        """
        decision = None
        if self._stubs:
            self.working_machine()  # an exec that must fail anyway uses up no stub
            call = AskedExec(code, language, self.id, lambda code: self._run_real(code, language))
            deciding = self._stubs.decide(call)
            # If no function is asked this does not wait, so that no later exec gets its turn first.
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
        """Fails an exec because a stub says so; raises GuestFailed."""
        try:
            await self._while_it_lives(self._clock.wait((), self._clock.time() + delay))
            raise GuestFailed(error)
        except BaseException as reason:
            entry.fail(str(reason) or "the client is gone")
            raise

    async def _run_real(self, code: str, language: Language) -> Answer:
        """Runs code for a function of the test."""
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
        """Waits for `work`; raises SandboxNotFound or GuestFailed as soon as the sandbox has ended."""
        working, left = asyncio.ensure_future(work), asyncio.ensure_future(self._left.wait())
        try:
            while not working.done():  # a loop, since a merge gives the sandbox another machine
                gone = asyncio.ensure_future(self.working_machine().guest.gone.wait())
                waited_for: tuple[asyncio.Future[Any], ...] = (working, left, gone)
                try:
                    await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    gone.cancel()
            return working.result()
        finally:
            working.cancel()
            left.cancel()

    async def fork(self, n: int) -> Forked:
        """Makes `n` children, or none and raises InvalidRequest, SandboxNotFound or GuestFailed."""
        if not 1 <= n <= MOST_CHILDREN:
            raise InvalidRequest(f"n: expected 1 to {MOST_CHILDREN}, got {n}")
        resets = self.resets
        async with self.turn:
            machine = self.working_machine()
            if not machine.forkable:
                raise GuestFailed(
                    "a sandbox created with custom ram_mib or rootfs_gb cannot be forked: it skipped the warm pool"
                )
            try:
                copies = await self._forks.fork(self, n)
            except HostingError as error:
                if self.machine is not machine:  # destroyed meanwhile
                    raise SandboxNotFound from None
                raise GuestFailed(f"fork failed: {error}") from error
            if self.machine is not machine or self.resets != resets:
                await asyncio.gather(*(guest.end() for guest in copies.guests))
                raise SandboxNotFound if self.machine is not machine else GuestFailed(RESET)
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
        """Detaches its machine and stops it; clients see waiting and running execs end as on a delete.

        `keep` gets the machine before it is stopped, unless code runs in it. Raises HostingError.
        """
        machine = self.working_machine()
        running = self._running
        self.leave()
        machine.terminals.sever()
        if running:
            running.sever()
        async with self.turn:  # waits for a fork in progress
            if running is None or running.finished:
                await keep(machine)
            await machine.guest.stop()
            if machine.guest.ended:  # its init is there even so, and stops what is left
                raise HostingError(f"the sandbox's interpreter {machine.guest.ended}")
        return Frozen(machine, running if running and not running.finished else None)

    def leave(self) -> Machine | None:
        """Gives up its machine, and its id with it: calls that wait for something get SandboxNotFound."""
        machine, self.machine = self.machine, None
        self._left.set()
        return machine

    async def go_on(self, frozen: Frozen) -> None:
        """Resumes its frozen machine; the next exec waits for the one that continues. Raises HostingError."""
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
        """Its machine, if that can run code; else raises SandboxNotFound or GuestFailed."""
        if self.machine is None:
            raise SandboxNotFound
        if self.machine.guest.ended:
            raise GuestFailed(
                f"agent did not respond: the sandbox's interpreter {self.machine.guest.ended}; create a new sandbox"
            )
        return self.machine
