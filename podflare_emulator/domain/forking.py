"""The two fork engines, behind one interface."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from podflare_emulator.domain.history import Call, Digest
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guests.ended import Ended
from podflare_emulator.hosting.guests.guest import Guest

if TYPE_CHECKING:
    from podflare_emulator.domain.machine import Machine


class Copies(Struct, frozen=True):
    """Guests that continue from another's state, and how they differ from it.

    `threads` and `processes`: how many only the original has. `differences`: the numbers, from 1, of the Python execs
    of its history that ended differently when they were run again, or could not be. `at_rest`: nothing happens in the
    original or the copies until they get a message.
    """

    guests: list[Guest]
    threads: int = 0
    processes: int = 0
    differences: tuple[int, ...] = ()
    at_rest: bool = False


class ForkEngine(Protocol):
    async def fork(self, machine: Machine, n: int) -> Copies:
        """Makes `n` copies, or none and raises HostingError. The machine does nothing else meanwhile."""


class LiveFork:
    """The guest forks itself, so that its children have its memory."""

    def __init__(self, files: str) -> None:
        """`files`: how children get the parent's files; see guest/fork/ways.py."""
        self._files = files

    async def fork(self, machine: Machine, n: int) -> Copies:
        forked = await machine.guest.fork(await machine.guest.take_jails(n), self._files)
        return Copies(forked.children, forked.threads, forked.processes, at_rest=forked.at_rest)


class ReplayFork:
    """New guests run the Python code of the machine's history again, and then get a copy of its files.

    Their directories start as the machine's did, so that the code finds what it found the first time. The effects of
    bash code and of uploads come with the files.
    """

    async def fork(self, machine: Machine, n: int) -> Copies:
        copies = [asyncio.ensure_future(self._copy(machine)) for _ in range(n)]
        try:
            everything = asyncio.ensure_future(_all(copies))
            ended = asyncio.ensure_future(machine.guest.gone.wait())
            waited_for: list[asyncio.Future[Any]] = [everything, ended]
            await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            if not everything.done():
                raise HostingError(f"the sandbox's interpreter {machine.guest.ended}")
            made = everything.result()
        except BaseException:
            await _undo(copies)
            raise
        return Copies(
            [copy.guest for copy in made],
            processes=max(copy.processes for copy in made),
            differences=tuple(sorted({number for copy in made for number in copy.differences})),
        )

    async def _copy(self, machine: Machine) -> _Copy:
        guest = await machine.another()
        try:
            differences = await repeat(guest, machine.history or ())
            return _Copy(guest, await guest.follow(machine.guest), differences)
        except BaseException:
            await guest.end()
            raise


class _Copy(Struct, frozen=True):
    guest: Guest
    processes: int
    differences: list[int]


async def repeat(guest: Guest, history: Iterable[Call]) -> list[int]:
    """Runs a history again; returns the numbers, from 1, of the calls that ended differently or could not be run.

    Raises HostingError.
    """
    return [number for number, call in enumerate(history, 1) if not await _repeats(guest, call)]


async def _repeats(guest: Guest, call: Call) -> bool:
    """Runs a call again; returns whether it ended as it did the first time. An interrupted one is not run."""
    code = "" if call.interrupted else call.code  # even so it counts, as tracebacks number the calls
    digest = Digest()
    guest.sink = digest.feed
    ended: asyncio.Future[int | Ended] = asyncio.get_running_loop().create_future()

    def end(result: int | Ended) -> None:
        if not ended.done():  # cancelled if the fork is given up
            ended.set_result(result)

    guest.execute(code, "python", end, call.commands)
    result = await ended
    guest.sink = lambda stream, data: None
    if isinstance(result, Ended):
        raise HostingError(f"the interpreter that replays the history {result}")
    return not call.interrupted and (result, digest.value()) == (call.exit_code, call.printed)


async def _all(copies: Iterable[asyncio.Future[_Copy]]) -> list[_Copy]:
    return [*await asyncio.gather(*copies)]


async def _undo(copies: Iterable[asyncio.Future[_Copy]]) -> None:
    for copy in copies:
        copy.cancel()
    for result in await asyncio.gather(*copies, return_exceptions=True):
        if not isinstance(result, BaseException):
            await result.guest.end()
