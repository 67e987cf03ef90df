"""Guests of each template: made ahead of demand, or forked from a guest that its setup has run in."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping

from podflare_emulator.domain.ahead.pool import Pool
from podflare_emulator.domain.seeds import Seeds
from podflare_emulator.guest.system.peers import Address
from podflare_emulator.hosting.errors import HostingError
from podflare_emulator.hosting.guests.ended import Ended
from podflare_emulator.hosting.guests.guest import Guest
from podflare_emulator.hosting.launcher import Launcher
from podflare_emulator.hosting.limits import Limits
from podflare_emulator.vocabulary.templates import BUILT_IN, Template

_COMPLAINTS = 20  # lines of a failed setup's stderr that go into the error


class Stock:
    """`forks`: how forks of a set-up guest get its files (guest/fork/ways.py); None: run the setup in each guest."""

    def __init__(
        self, launcher: Launcher, templates: Mapping[str, Template], pool_size: int, *, forks: str | None
    ) -> None:
        self.templates = {**BUILT_IN, **templates}
        self._launcher = launcher
        self._pool_size = pool_size
        self._forks = forks
        self._pools: dict[tuple[str, bool], Pool] = {}
        self._launchers: dict[str, asyncio.Task[Launcher]] = {}  # keyed by a template's own Python
        self._moulds: dict[tuple[str, bool], asyncio.Task[Guest]] = {}  # set-up guests, to be forked
        self._files: dict[str, Seeds] = {}

    def warm(self, guest: Guest, egress: bool) -> None:
        """Fills the default template's pool, starting with `guest`."""
        pool = self._pool("default", egress)
        pool.add(guest)
        pool.refill()

    async def take(self, template: str, limits: Limits) -> Guest:
        """A complete guest of the template; if it cannot be made, raises HostingError with a hint at what to do."""
        try:
            if limits.custom:
                return await self._make(template, limits)
            return await self._pool(template, limits.egress).take()
        except HostingError as error:
            raise HostingError(f"{error}{self._hint(template, str(error))}") from error

    def is_at(self, peer: Address, here: Address) -> bool:
        """As `Launcher.is_at`."""
        others = [task.result() for task in self._launchers.values() if task.done() and not task.exception()]
        return any(launcher.is_at(peer, here) for launcher in (self._launcher, *others))

    async def close(self) -> None:
        """Ends the guests that nobody has taken."""
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
        await asyncio.gather(*(_end(task) for task in self._moulds.values()))
        for files in self._files.values():
            files.clear()

    async def stop(self) -> None:
        """Ends the launchers of templates that have their own Python; returns when nothing of them is left."""
        for task in self._launchers.values():
            with contextlib.suppress(HostingError, OSError):
                await (await task).stop()

    def _hint(self, name: str, error: str) -> str:
        template = self.templates[name]
        needed = ", ".join(dict.fromkeys(module.partition(".")[0] for module in template.imports.values()))
        if not needed or "No module named" not in error:
            return ""
        where = template.python or "the Python of the sandboxes"
        install = template.install or f"install them there: {template.python or 'python'} -m pip install ..."
        return f"; {name} needs {needed} in {where}: {install}"

    def _pool(self, template: str, egress: bool) -> Pool:
        if (template, egress) not in self._pools:
            limits = Limits(egress)
            self._pools[template, egress] = Pool(lambda: self._make(template, limits), self._pool_size)
        return self._pools[template, egress]

    async def _make(self, name: str, limits: Limits) -> Guest:
        if self.templates[name].setup and self._forks and not limits.custom:
            mould = await self._mould(name, limits.egress)
            (guest,) = (await mould.fork(await mould.take_jails(1), self._forks)).children
            return guest
        return await self._make_whole(name, limits)

    async def _make_whole(self, name: str, limits: Limits) -> Guest:
        template = self.templates[name]
        launcher = await self._launcher_of(template.python)
        guest = await launcher.guest(name, dict(template.imports), limits)
        try:
            if template.env:
                await guest.set_variables(template.env)
            if files := self._files_of(name).files:
                await guest.write(files)
            if template.setup:
                await _set_up(guest, name, template)
        except BaseException:
            await guest.end()
            raise
        return guest

    async def _mould(self, name: str, egress: bool) -> Guest:
        """The set-up guest; a new one if it was killed, as guests of one family can kill each other."""
        key = name, egress
        making = self._moulds.get(key)
        if making is None or (making.done() and (making.exception() or making.result().ended)):
            if making is not None:
                await _end(making)
            making = self._moulds[key] = asyncio.create_task(self._make_whole(name, Limits(egress)))
        return await asyncio.shield(making)

    async def _launcher_of(self, python: str | None) -> Launcher:
        if python is None:
            return self._launcher
        launching = self._launchers.get(python)
        if launching is None or (launching.done() and launching.exception()):
            launching = self._launchers[python] = asyncio.create_task(self._launcher.beside(python))
        return await asyncio.shield(launching)

    def _files_of(self, name: str) -> Seeds:
        if name not in self._files:
            self._files[name] = Seeds()
            for path, mode, content in self.templates[name].files:
                self._files[name].add(path, mode, content)
        return self._files[name]


async def _set_up(guest: Guest, name: str, template: Template) -> None:
    said: deque[bytes] = deque(maxlen=_COMPLAINTS)
    ended: asyncio.Future[int | Ended] = asyncio.get_running_loop().create_future()

    def end(result: int | Ended) -> None:
        if not ended.done():
            ended.set_result(result)

    guest.sink = lambda stream, data: said.append(data) if stream == "stderr" else None
    guest.execute(template.setup, template.language, end)
    result = await ended
    guest.sink = lambda stream, data: None
    if result != 0:
        how = (
            f"the interpreter {result}" if isinstance(result, Ended) else f"it ended with exit code {result}"
        )
        lines = b"".join(said).decode("utf-8", "replace").splitlines()[-_COMPLAINTS:]
        raise HostingError(f"the setup of the template {name} failed: {how}: {' | '.join(lines)}")


async def _end(making: asyncio.Task[Guest]) -> None:
    with contextlib.suppress(HostingError, asyncio.CancelledError):
        await (await making).end()
