"""All sandboxes by id. Create, merge and destroy are one step each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct

from podflare_emulator.domain.ahead.children import ForkAhead
from podflare_emulator.domain.ahead.stock import Stock
from podflare_emulator.domain.forking import ForkEngine, LiveFork, ReplayFork, repeat
from podflare_emulator.domain.history import History
from podflare_emulator.domain.ids import Ids
from podflare_emulator.domain.ledger import Ledger
from podflare_emulator.domain.lives.kept_spaces import Kept, KeptSpaces
from podflare_emulator.domain.lives.lifetimes import Lifetimes, Over
from podflare_emulator.domain.lives.spaces import Space, Spaces
from podflare_emulator.domain.lives.webhooks import Webhooks
from podflare_emulator.domain.machine import Machine
from podflare_emulator.domain.machine import SandboxOrder as SandboxOrder
from podflare_emulator.domain.sandbox import RESET, Frozen, Sandbox
from podflare_emulator.domain.seeds import Seeds
from podflare_emulator.domain.testing.commands import Commands
from podflare_emulator.domain.testing.stubs import Stubs
from podflare_emulator.guest.system.peers import Address
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guests.guest import Guest
from podflare_emulator.hosting.guests.orders import Files
from podflare_emulator.hosting.launcher import Launcher
from podflare_emulator.hosting.limits import Limits
from podflare_emulator.vocabulary.clock import Clock
from podflare_emulator.vocabulary.sandbox_errors import GuestFailed, InvalidRequest, SandboxNotFound
from podflare_emulator.vocabulary.settings import TierName
from podflare_emulator.vocabulary.templates import Template
from podflare_emulator.vocabulary.tiers import TIERS, Lifespan

_log = logging.getLogger("podflare_emulator")


class ResumeOrder(Struct, frozen=True):
    """The request of a resume, with the fields of a SandboxOrder; `egress` None: as before."""

    timeout_seconds: int | None = None
    idle_timeout_seconds: int | None = None
    persistent: bool = False
    egress: bool | None = None
    region: str | None = None


class SandboxRegistry:
    """The emulator's state: the living sandboxes, and the ids of former ones."""

    def __init__(
        self,
        launcher: Launcher,
        pool_size: int,
        *,
        egress: bool = True,
        fork: str = "live",
        fork_files: str = "auto",
        seed: int | None = None,
        env: Mapping[str, str] = {},
        reachable: Iterable[Address] = (),
        clock: Clock | None = None,
        tier: TierName = "scale",
        webhook_url: str | None = None,
        state_dir: str | None = None,
        echo: bool = False,
        templates: Mapping[str, Template] = {},
    ) -> None:
        self.clock = clock or Clock()
        self._launcher = launcher
        self._stock = Stock(launcher, templates, pool_size, forks=None if fork == "replay" else fork_files)
        # Each setting applies to every new sandbox; `_arranged_...` is what a test adds or overrides for a while.
        self._egress = egress  # False: no sandbox has it, whatever a create asks for
        self._arranged_egress = True
        self._env = env
        self._reachable = frozenset(reachable)
        self._arranged_reachable: frozenset[Address] = frozenset()
        self._arranged_env: Mapping[str, str] = {}
        self._echo = echo  # whether last expressions are printed
        self._arranged_echo: bool | None = None  # None: as `_echo`
        engine: ForkEngine = ReplayFork() if fork == "replay" else LiveFork(fork_files)
        self._forks = ForkAhead(engine)
        self._repeats = fork == "replay"
        self._records = self._repeats or state_dir is not None
        self._living: dict[str, Sandbox] = {}
        self._gone: set[str] = set()
        # Ids at the last reset, which those who keep them take for theirs.
        self._to_keep: Collection[str] = ()
        self.seeds = Seeds()
        self.ledger = Ledger(self.clock.now)
        self.stubs = Stubs()
        self.commands = Commands()
        self.ids = Ids(seed)
        self._tier = TIERS[tier]
        self._lifetimes = Lifetimes(self.clock, self._expire)
        self._spaces = Spaces(KeptSpaces(state_dir) if state_dir else None)
        self._freezing = set[Machine]()
        self._resets = 0  # so far: what is being made when one comes belongs to a test that is over
        self.webhooks = Webhooks(self.clock, self.ids, webhook_url)

    def warm(self, guest: Guest) -> None:
        """Fills the default template's pool, starting with `guest`."""
        self._stock.warm(guest, self._egress)

    def is_at(self, peer: Address, here: Address) -> bool:
        """Whether a sandbox's process holds the end `peer` of a TCP connection whose other end is `here`."""
        return self._stock.is_at(peer, here)

    async def create(self, order: SandboxOrder) -> Sandbox:
        """Creates a sandbox; raises GuestFailed if no guest can be made.

        Raises InvalidRequest for an unknown template, and for `egress=False` if the isolation cannot enforce it: a
        test that relies on it must not pass by luck.
        """
        machine = await self._make(order)
        span = self._tier.lifespan(order.timeout_seconds, order.idle_timeout_seconds, order.persistent)
        sandbox = self._adopt(machine, span)
        self.ledger.create(sandbox.id, order.template)
        self.webhooks.tell("sandbox.created", sandbox_id=sandbox.id, template=order.template)
        return sandbox

    async def _make(self, order: SandboxOrder) -> Machine:
        resets = self._resets
        known = self._stock.templates
        if order.template not in known:
            raise InvalidRequest(f"template: {order.template!r} is unknown; there are {', '.join(known)}")
        if not order.egress:
            self._check_egress_orders()
        egress = order.egress and self._egress and self._arranged_egress
        tier = self._tier
        limits = Limits(egress, tier.ram(order.ram_mib), tier.disk(order.rootfs_gb))
        try:
            guest = await self._stock.take(order.template, limits)
        except HostingError as error:
            raise GuestFailed(f"the pool is exhausted and a cold boot failed: {error}") from error
        files = self.seeds.files
        env = {**self._env, **self._arranged_env}
        reachable = self._reachable | self._arranged_reachable
        echo = self._echo if self._arranged_echo is None else self._arranged_echo
        await self._furnish(guest, env, files, reachable, echo)
        if self._resets != resets:
            await guest.end()
            raise GuestFailed(RESET)
        history = History() if self._records else None
        # Replayed code must find the files that it found before, even if the test has since replaced them.
        kept = files if self._repeats else None

        async def another() -> Guest:
            guest = await self._stock.take(order.template, Limits(limits.egress))
            await self._furnish(guest, env, kept, reachable, echo)
            return guest

        return Machine(
            guest, another, order, history=history, forkable=not limits.custom, egress=limits.egress
        )

    async def _furnish(
        self,
        guest: Guest,
        env: Mapping[str, str],
        files: Files | None,
        reachable: Collection[Address],
        echo: bool,
    ) -> None:
        try:
            if reachable:
                await guest.let_in(reachable)
            if echo:
                await guest.echo_last_expressions()
            if env:
                await guest.set_variables(env)
            if files:
                await guest.write(files)
        except BaseException as error:
            await guest.end()
            if isinstance(error, HostingError):
                reason = f"the test's files or settings could not be applied to the sandbox: {error}"
                raise GuestFailed(reason) from error
            raise

    def arrange_egress(self, allowed: bool) -> None:
        """Whether sandboxes created from now on may have egress; raises InvalidRequest as a create does."""
        if not allowed:
            self._check_egress_orders()
        self._arranged_egress = allowed

    def arrange_env(self, env: Mapping[str, str]) -> None:
        """Environment variables of sandboxes created from now on, in addition to those of the settings."""
        self._arranged_env = env

    def arrange_reachable(self, addresses: Iterable[Address]) -> None:
        """Loopback servers that sandboxes created from now on reach, in addition to those of the settings."""
        self._arranged_reachable = frozenset(addresses)

    def arrange_echo(self, echo: bool | None) -> None:
        """Whether sandboxes created from now on print last expressions; None: as in the settings."""
        self._arranged_echo = echo

    def _check_egress_orders(self) -> None:
        if not self._launcher.takes_egress_orders:
            raise InvalidRequest(
                "egress: this isolation backend cannot keep a sandbox off the network, namespace isolation can; "
                "start the emulator with --egress-unenforced to get sandboxes that reach it anyway"
            )

    def get(self, sandbox_id: str) -> Sandbox:
        try:
            return self._living[sandbox_id]
        except KeyError:
            raise SandboxNotFound from None

    async def destroy(self, sandbox_id: str) -> None:
        """Ends it at once, even if code runs. Raises SandboxNotFound for an unknown id, but not for a destroyed one."""
        sandbox = self._living.get(sandbox_id)
        if sandbox is None:
            if sandbox_id not in self._gone:
                raise SandboxNotFound
            return
        machine = sandbox.machine
        if machine:
            self.ledger.end(sandbox_id, died=str(machine.guest.ended) if machine.guest.ended else None)
        await self._end(sandbox, "deleted")

    async def _end(self, sandbox: Sandbox, reason: str) -> None:
        self._withdraw(sandbox)
        machine = sandbox.leave()
        self.webhooks.tell("sandbox.destroyed", sandbox_id=sandbox.id, reason=reason)
        if machine:
            await machine.guest.end()
        await self._forks.settle()

    def _withdraw(self, sandbox: Sandbox) -> None:
        """Frees the id."""
        self._living.pop(sandbox.id, None)
        self._gone.add(sandbox.id)
        self._lifetimes.forget(sandbox.id)

    async def _expire(self, sandbox: Sandbox, over: Over) -> None:
        """The sandbox's time is over: freezes it if it is persistent and can be frozen, else destroys it."""
        seconds = sandbox.span.timeout if over == "timeout" else sandbox.span.idle
        reason = f"lifetime of {seconds:g} s" if over == "timeout" else f"no exec for {seconds:g} s"
        machine = sandbox.machine
        if not (sandbox.span.persistent and machine and not machine.guest.ended):
            self.ledger.expire(sandbox.id, reason)
            await self._end(sandbox, over)
            return
        self._withdraw(sandbox)
        space_id = self.ids.space(self._spaces)
        self.ledger.expire(sandbox.id, reason, space_id)
        self._freezing.add(machine)
        try:
            frozen = await sandbox.freeze(partial(self._spaces.keep, space_id, sandbox.id))
            if machine not in self._freezing:
                raise HostingError(RESET)
        except HostingError:  # it has ended meanwhile
            self._spaces.forget(space_id)
            await machine.guest.end()
            self.webhooks.tell("sandbox.destroyed", sandbox_id=sandbox.id, reason=over)
            return
        finally:
            self._freezing.discard(machine)
        self._spaces.add(Space(space_id, frozen))
        self.webhooks.tell("sandbox.frozen", sandbox_id=sandbox.id, space_id=space_id, reason=over)

    async def resume(self, space_id: str, order: ResumeOrder) -> Sandbox:
        """Resumes the Space's machine under a new id, and removes the Space.

        Raises SpaceNotFound; GuestFailed for a machine that has ended meanwhile; InvalidRequest for a different
        `egress`, since running processes keep the network that they were started in.
        """
        space = self._spaces.take(space_id, order.region)
        if isinstance(space, Kept):
            space = await self._bring_back(space)
        machine = space.frozen.machine
        if order.egress not in (None, machine.egress) and self._egress:
            self._spaces.give_back(space)
            raise InvalidRequest(
                f"egress: the Space was frozen {'with' if machine.egress else 'without'} egress, which cannot change"
            )
        span = self._tier.lifespan(order.timeout_seconds, order.idle_timeout_seconds, order.persistent)
        sandbox = self._adopt(machine, span)
        self.ledger.create(sandbox.id, machine.order.template, space_id)
        try:
            await sandbox.go_on(space.frozen)
        except HostingError as error:
            if sandbox.machine:
                self.ledger.end(sandbox.id, died=str(machine.guest.ended))
                await self._end(sandbox, "died")
            raise GuestFailed(f"the Space cannot be resumed: {error}") from error
        if sandbox.machine is None:
            raise GuestFailed(f"the Space cannot be resumed: {RESET}")
        self._spaces.forget(space_id)
        self.webhooks.tell("sandbox.resumed", sandbox_id=sandbox.id, space_id=space_id)
        return sandbox

    async def _bring_back(self, kept: Kept) -> Space:
        """Runs its history again in a new machine, and restores its files. Raises GuestFailed, and keeps it then."""
        resets = self._resets
        try:
            machine = await self._make(kept.order)
            try:
                machine.history = History.read(kept.history, self.commands.versions)
                differences = await repeat(machine.guest, machine.history)
                with kept.archive() as archive:
                    await machine.guest.unpack(kept.packed, archive)
                if self._resets != resets:
                    raise HostingError(RESET)
            except BaseException:
                await machine.guest.end()
                raise
        except (HostingError, OSError, GuestFailed, InvalidRequest) as error:
            self._spaces.give_back(kept)
            raise GuestFailed(f"the Space cannot be brought back: {error}") from error
        if differences:
            told = ", ".join(map(str, differences))
            _log.warning("%s: its execs %s ended differently when they were run again", kept.id, told)
        return Space(kept.id, Frozen(machine, None))

    async def delete_space(self, space_id: str) -> None:
        """Ends its machine; raises SpaceNotFound."""
        space = self._spaces.take(space_id)
        self._spaces.forget(space_id)
        self.webhooks.tell("space.deleted", space_id=space_id)
        if isinstance(space, Space):
            await space.frozen.machine.guest.end()

    def exempt(self, sandbox_ids: Collection[str]) -> None:
        """Exempts these sandboxes from lifetimes; ignores ids that do not exist."""
        for sandbox_id in sandbox_ids:
            self._lifetimes.forget(sandbox_id)

    def expect_forks(self, sandbox_id: str) -> None:
        """Has children made ahead of the next forks. Raises SandboxNotFound, GuestFailed."""
        self._forks.expect(self.get(sandbox_id))

    async def merge(self, parent_id: str, winner_id: str) -> None:
        """The winner's machine takes over the parent's id. Waits for code that runs in either, then is one step.

        Raises InvalidRequest for one id twice, SandboxNotFound if either is gone, GuestFailed for a dead winner.
        """
        parent, winner = self.get(parent_id), self.get(winner_id)
        if parent is winner:
            raise InvalidRequest("a sandbox cannot be merged into itself: parent and winner are the same id")
        first, second = sorted((parent, winner), key=lambda sandbox: sandbox.id)  # one order: no deadlock
        async with first.turn, second.turn:
            if parent.machine is None or winner.machine is None:
                raise SandboxNotFound
            if winner.machine.guest.ended:
                raise GuestFailed(f"the winner's interpreter {winner.machine.guest.ended}")
            replaced, parent.machine = parent.machine, winner.leave()
            self._withdraw(winner)
            self.ledger.merge(parent_id, winner_id)
            self.webhooks.tell("sandbox.merged", sandbox_id=parent_id, winner_id=winner_id)
        await replaced.guest.end()
        await self._forks.settle()

    async def destroy_all(self, keep: Collection[str] = ()) -> list[str]:
        """For a reset: every sandbox but those to `keep`, every Space, and those that are being made.

        Returns the ids of the destroyed sandboxes, oldest first.
        """
        self._resets += 1
        self._to_keep = frozenset(keep)
        for sandbox in self._living.values():
            sandbox.resets += 1
        ids = [sandbox_id for sandbox_id in self._living if sandbox_id not in keep]
        await asyncio.gather(*map(self.destroy, ids))
        await self._end_spaces()
        self._spaces.forget_all()
        return ids

    async def _end_spaces(self) -> None:
        """Ends all Spaces, including those that are being made."""
        freezing, self._freezing = self._freezing, set()
        await asyncio.gather(self._spaces.end_all(), *(machine.guest.end() for machine in freezing))

    def lives(self) -> list[dict[str, Any]]:
        """The life of every sandbox that something has happened to since the last reset."""
        lives = self.ledger.lives()
        for life in lives:
            sandbox = self._living.get(life["sandbox"])
            if life["state"] == "open" and sandbox and sandbox.machine and sandbox.machine.guest.ended:
                life.update(state="died", reason=str(sandbox.machine.guest.ended))
        return lives

    async def close(self) -> None:
        """Ends every sandbox."""
        self.webhooks.hush()
        await self._stock.close()
        await asyncio.gather(*map(self.destroy, [*self._living]))
        await self._end_spaces()
        await self._stock.stop()
        self.stubs.clear()
        self.seeds.clear()

    def _adopt_child(self, machine: Machine, parent: Sandbox) -> Sandbox:
        child = self._adopt(machine, parent.span)
        self.webhooks.tell("sandbox.created", sandbox_id=child.id, parent_id=parent.id)
        return child

    def _adopt(self, machine: Machine, span: Lifespan) -> Sandbox:
        while (new_id := self.ids.sandbox(self._living)) in self._to_keep:
            pass
        self._gone.discard(new_id)  # with a seed, another sandbox may have had it before the last reset
        sandbox = Sandbox(
            new_id,
            machine,
            self._forks,
            self._adopt_child,
            self.ledger,
            self.stubs,
            self.commands,
            self.clock,
            span,
        )
        self._living[new_id] = sandbox
        if not self.ids.lasting:
            self._lifetimes.begin(sandbox)
        return sandbox
