"""How a machine is multiplied: the two fork engines, behind one seam."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from podflare_emulator.domain.history import Call, Digest
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guest import Ended, Guest

if TYPE_CHECKING:
    from podflare_emulator.domain.machine import Machine


@dataclass(frozen=True)
class Copies:
    """Guests that go on from where another was, and what is not as it was there.

    `threads` and `processes`: how many only the original has. `differences`: the numbers, from 1, of those Python
    execs of its history that ended otherwise when they were run again, or could not be. `at_rest`: nothing happens in
    the original, nor in the copies, until they are told something.
    """

    guests: list[Guest]
    threads: int = 0
    processes: int = 0
    differences: tuple[int, ...] = ()
    at_rest: bool = False


class ForkEngine(Protocol):
    async def fork(self, machine: Machine, n: int) -> Copies:
        """`n` copies, or none: raises HostingError. The machine does nothing else meanwhile."""


class LiveFork:
    """The guest forks itself: what is in its memory is in its children's by definition."""

    def __init__(self, files: str) -> None:
        """`files`: how children come by the parent's; see guest/fork/ways.py."""
        self._files = files

    async def fork(self, machine: Machine, n: int) -> Copies:
        forked = await machine.guest.fork(await machine.guest.take_jails(n), self._files)
        return Copies(forked.children, forked.threads, forked.processes, at_rest=forked.at_rest)


class ReplayFork:
    """New guests are told what the machine's was told, and then get a copy of its files.

    Their directories start as the machine's did, so that code finds what it found the first time. What bash did and
    what was uploaded is in the files.
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


@dataclass(frozen=True)
class _Copy:
    guest: Guest
    processes: int
    differences: list[int]


async def repeat(guest: Guest, history: Iterable[Call]) -> list[int]:
    """Runs it again; the numbers, from 1, of what ended otherwise, or could not be run. Raises HostingError."""
    return [number for number, call in enumerate(history, 1) if not await _repeats(guest, call)]


async def _repeats(guest: Guest, call: Call) -> bool:
    """Runs it, and tells whether it ended as it did the first time. One that was interrupted is not run."""
    code = "" if call.interrupted else call.code  # the next one's number in tracebacks is what it was
    digest = Digest()
    guest.sink = digest.feed
    ended: asyncio.Future[int | Ended] = asyncio.get_running_loop().create_future()

    def end(result: int | Ended) -> None:
        if not ended.done():  # a fork that is given up cancels it
            ended.set_result(result)

    guest.execute(code, "python", end, call.commands)
    result = await ended
    guest.sink = lambda stream, data: None
    if isinstance(result, Ended):
        raise HostingError(f"the interpreter that runs the history again {result}")
    return not call.interrupted and (result, digest.value()) == (call.exit_code, call.printed)


async def _all(copies: Iterable[asyncio.Future[_Copy]]) -> list[_Copy]:
    return [*await asyncio.gather(*copies)]


async def _undo(copies: Iterable[asyncio.Future[_Copy]]) -> None:
    for copy in copies:
        copy.cancel()
    for result in await asyncio.gather(*copies, return_exceptions=True):
        if not isinstance(result, BaseException):
            await result.guest.end()
